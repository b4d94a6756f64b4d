//! The first run: the mistake of a specimen is found without root, namespaces and a database.
use crate::stage::Stage;

#[test]
fn the_demo_finds_its_mistake_on_processes_of_this_machine() {
    let stage = Stage::new();
    let demo = stage.run(&["demo", "--local"]).exits(0);
    demo.says(&[
        "processes of this machine",
        "Invalid: a promise was broken",
        "Duplicate id: ",
        "That was to be found",
    ]);
}
