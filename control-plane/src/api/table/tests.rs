use super::*;

#[test]
fn every_row_has_a_cell_for_every_column() {
    for kind in Kind::ALL {
        let mut table = Table::new(kind, IncludeObject::Metadata, Timestamp::UNIX_EPOCH);
        table.push(&Object::new(kind, "default", "x"));
        let table = table.finish(7, true);
        let columns = table["columnDefinitions"].as_array().expect("columns").len();
        assert_eq!(table["rows"][0]["cells"].as_array().expect("cells").len(), columns, "{kind}");
        assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "x");
    }
}

#[test]
fn only_the_first_table_of_a_watch_has_columns() {
    let table = Table::new(Kind::Pod, IncludeObject::None, Timestamp::UNIX_EPOCH);
    assert_eq!(table.finish(7, false)["columnDefinitions"], json!([]));
}
