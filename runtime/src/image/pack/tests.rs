use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::image::tars::lacks_root;

fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("images")).unwrap();
    (folder, store)
}

fn spec(name: &str, binaries: &[&str]) -> PackSpec {
    PackSpec {
        name: name.to_owned(),
        binaries: binaries.iter().map(PathBuf::from).collect(),
        ..PackSpec::default()
    }
}

/// What a command prints with the image's only layer as its root.
fn run(store: &Store, name: &str, command: &[&str]) -> String {
    let image = store.resolve(name).unwrap();
    let mut chroot = Command::new("chroot");
    // There is no /proc in here, which is where the loader would learn of `$ORIGIN`.
    chroot.arg(&image.layers[0]).args(command).env("LD_ORIGIN_PATH", "/usr/bin");
    let output = chroot.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_packed_shell_runs_with_nothing_but_its_image() {
    if lacks_root("a_packed_shell_runs_with_nothing_but_its_image") {
        return;
    }
    let (_folder, store) = store();
    let packed = pack(&store, &spec("shell:1", &["/bin/sh", "/bin/ls", "/usr/bin/id"])).unwrap();
    assert_eq!(packed.reference.to_string(), "docker.io/library/shell:1");
    assert_eq!(run(&store, "shell:1", &["/bin/sh", "-c", "ls -d /tmp; id -un"]), "/tmp\nroot\n");
    let image = store.resolve("shell:1").unwrap();
    assert_eq!(image.config.entrypoint, ["/usr/bin/sh"]);
    assert!(image.config.env[0].starts_with("PATH="));
    let mode = fs::metadata(image.layers[0].join("tmp")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o1777);
}

#[test]
fn the_same_inputs_give_the_same_digest() {
    let (folder, store) = store();
    let first = pack(&store, &spec("a:1", &["/bin/true", "/bin/cat"])).unwrap();
    let other = Store::open(&folder.path().join("other")).unwrap();
    let second = pack(&other, &spec("b:2", &["/bin/true", "/bin/cat"])).unwrap();
    assert_eq!(first.digest, second.digest);
    let third = pack(&other, &spec("c:3", &["/bin/true"])).unwrap();
    assert_ne!(first.digest, third.digest);
}

#[test]
fn the_loader_and_the_c_library_come_along() {
    let (_folder, store) = store();
    pack(&store, &spec("true", &["/bin/true"])).unwrap();
    let layer = store.resolve("true").unwrap().layers[0].clone();
    let object = elf::read(Path::new("/bin/true")).unwrap().unwrap();
    assert!(object.needed.contains(&"libc.so.6".to_owned()), "{object:?}");
    // Followed within the layer: links of the image are relative or lead through its own root.
    let loader = object.interpreter.unwrap();
    let link = fs::symlink_metadata(layer.join(loader.strip_prefix("/").unwrap()));
    assert!(link.is_ok(), "{loader:?}");
}

#[test]
fn further_files_the_user_and_the_folder_are_there() {
    let (folder, store) = store();
    let extra = folder.path().join("extra");
    fs::create_dir_all(extra.join("sub")).unwrap();
    fs::write(extra.join("sub/file"), "text").unwrap();
    std::os::unix::fs::symlink("sub/file", extra.join("link")).unwrap();
    let packed = PackSpec {
        files: vec![ExtraFile { source: extra, destination: "/opt/extra".into() }],
        working_dir: Some("/data".to_owned()),
        user: Some("1000:2000".to_owned()),
        env: vec!["A=b".to_owned()],
        cmd: vec!["--help".to_owned()],
        ..spec("extra", &["/bin/true"])
    };
    pack(&store, &packed).unwrap();
    let image = store.resolve("extra").unwrap();
    assert_eq!(fs::read_to_string(image.layers[0].join("opt/extra/link")).unwrap(), "text");
    let folder = fs::metadata(image.layers[0].join("data")).unwrap();
    if nix::unistd::geteuid().is_root() {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!((folder.uid(), folder.gid()), (1000, 2000));
    }
    assert!(fs::read_to_string(image.layers[0].join("etc/passwd")).unwrap().contains("app:x:1000:2000:"));
    assert_eq!((image.config.user.as_str(), image.config.working_dir.as_str()), ("1000:2000", "/data"));
    assert_eq!(image.config.cmd, ["--help"]);
}

#[test]
fn a_script_needs_its_interpreter() {
    let (folder, store) = store();
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh -e\necho hello\n").unwrap();
    let script = script.to_str().unwrap();
    let error = pack(&store, &spec("script", &[script])).expect_err("no shell");
    assert!(
        matches!(&error, PackError::ScriptWithoutInterpreter { interpreter, .. } if interpreter == "/bin/sh")
    );
    pack(&store, &spec("script", &[script, "/bin/sh"])).unwrap();
    if !lacks_root("a_script_needs_its_interpreter") {
        assert_eq!(run(&store, "script", &["/usr/bin/script"]), "hello\n");
    }
}

#[test]
fn what_cannot_be_packed_is_refused_with_its_reason() {
    let (folder, store) = store();
    let text = folder.path().join("text");
    fs::write(&text, "no program").unwrap();
    let broken = folder.path().join("broken");
    fs::write(&broken, b"\x7fELF\x02\x01\x01 and no more").unwrap();
    let refused = |spec: PackSpec| pack(&store, &spec).expect_err("cannot be packed");
    let with = |change: fn(&mut PackSpec)| {
        let mut spec = spec("a", &["/bin/true"]);
        change(&mut spec);
        refused(spec)
    };
    assert!(matches!(refused(spec("a", &[])), PackError::NoBinaries));
    assert!(matches!(refused(spec("A", &["/bin/true"])), PackError::Name(_)));
    assert!(matches!(refused(spec("a", &[text.to_str().unwrap()])), PackError::NotExecutable { .. }));
    assert!(matches!(refused(spec("a", &[broken.to_str().unwrap()])), PackError::Elf { .. }));
    assert!(matches!(refused(spec("a", &["/no/such"])), PackError::Io { .. }));
    assert!(matches!(refused(spec("a", &["/usr"])), PackError::Io { .. } | PackError::NotExecutable { .. }));
    assert!(matches!(with(|spec| spec.user = Some("shopkeeper".to_owned())), PackError::User { .. }));
    assert!(matches!(with(|spec| spec.env = vec!["=x".to_owned()]), PackError::Env { .. }));
    for destination in ["/", "relative", "/a/../b"] {
        let file = ExtraFile { source: text.clone(), destination: destination.into() };
        let error = refused(PackSpec { files: vec![file], ..spec("a", &["/bin/true"]) });
        assert!(matches!(error, PackError::Destination { .. }), "{destination}: {error:?}");
    }
    let taken = ExtraFile { source: text.clone(), destination: "/etc/passwd".into() };
    let error = refused(PackSpec { files: vec![taken], ..spec("a", &["/bin/true"]) });
    assert!(matches!(error, PackError::Conflict { .. }), "{error:?}");
    assert!(store.list().unwrap().is_empty());
}

/// Compiles a program with a library beside it, if there is a compiler.
fn compiled(folder: &Path) -> Option<()> {
    fs::write(folder.join("lib.c"), "int answer(void) { return 42; }").unwrap();
    fs::write(
        folder.join("main.c"),
        "#include <stdio.h>\nint answer(void);\nint main(void) { printf(\"%d\\n\", answer()); }",
    )
    .unwrap();
    fs::create_dir(folder.join("lib")).unwrap();
    let script = "cc -shared -fPIC -o lib/libanswer.so lib.c && \
                  cc -o main main.c -Llib -lanswer -Wl,-rpath,'$ORIGIN/lib' && \
                  cc -o lost main.c -Llib -lanswer";
    let compiled = Command::new("sh").arg("-c").arg(script).current_dir(folder).output().ok()?;
    compiled.status.success().then_some(())
}

#[test]
fn libraries_beside_the_program_move_with_it_and_missing_ones_are_named() {
    if lacks_root("libraries_beside_the_program_move_with_it") {
        return;
    }
    let (folder, store) = store();
    if compiled(folder.path()).is_none() {
        println!("SKIPPED libraries_beside_the_program_move_with_it: no C compiler");
        return;
    }
    let main = folder.path().join("main");
    pack(&store, &spec("main", &[main.to_str().unwrap()])).unwrap();
    assert_eq!(run(&store, "main", &["/usr/bin/main"]), "42\n");
    let lost = folder.path().join("lost");
    let error = pack(&store, &spec("lost", &[lost.to_str().unwrap()])).expect_err("nowhere to be found");
    assert!(
        matches!(&error, PackError::LibraryNotFound { library, .. } if library == "libanswer.so"),
        "{error}"
    );
}

#[test]
fn redis_is_packed_with_all_that_it_loads() {
    let server = Path::new("/usr/bin/redis-server");
    if lacks_root("redis_is_packed_with_all_that_it_loads") {
        return;
    }
    if !server.try_exists().unwrap() {
        println!("SKIPPED redis_is_packed_with_all_that_it_loads: no redis-server");
        return;
    }
    let (_folder, store) = store();
    pack(&store, &spec("database", &["/usr/bin/redis-server", "/usr/bin/redis-cli"])).unwrap();
    assert!(run(&store, "database", &["/usr/bin/redis-server", "--version"]).starts_with("Redis server"));
    assert!(run(&store, "database", &["/usr/bin/redis-cli", "--version"]).starts_with("redis-cli"));
}
