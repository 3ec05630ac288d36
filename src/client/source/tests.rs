use super::*;

fn sources(paths: &[&Path], recursive: bool) -> Sources {
    Sources { filenames: paths.iter().map(|path| (*path).to_owned()).collect(), recursive }
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

#[test]
fn a_folder_is_read_by_name_and_only_its_manifests() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    for (file, text) in [
        ("b.yaml", config_map("b")),
        ("a.yml", config_map("a")),
        ("README.md", "no".into()),
        ("inner/c.yaml", config_map("c")),
    ] {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let names = |recursive| {
        let documents = sources(&[folder.path()], recursive).read().unwrap();
        documents.iter().map(|document| document.object.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(false), ["a", "b"]);
    assert_eq!(names(true), ["a", "b", "c"]);
}

#[test]
fn one_mistake_anywhere_means_that_nothing_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.yaml"), folder.path().join("bad.yaml"));
    std::fs::write(&good, config_map("a")).unwrap();
    std::fs::write(&bad, "kind: Podd\napiVersion: v1\n").unwrap();
    let error = sources(&[&good, &bad], false).read().unwrap_err();
    assert_eq!(error.to_string(), "1 mistake found; nothing was done");
}

#[test]
fn what_is_not_there_is_named() {
    let error = sources(&[Path::new("/no/such/file.yaml")], false).read().unwrap_err();
    assert_eq!(error.to_string(), "cannot read /no/such/file.yaml");
}
