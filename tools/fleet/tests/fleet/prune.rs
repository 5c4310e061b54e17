//! `prune` removes tables that no node can need, and no other.

use super::*;

#[test]
fn what_a_ring_or_a_rollback_names_is_never_pruned() {
    let (_servers, folder, address) = fleet!("prune", 1);
    let mut node = Node::new(&folder, "one", &address, &[]);
    // Generations 1 to 6 to all, 7 to the canaries, and 8 is 6 once more: to go back from it is to
    // go to 5.
    for number in 1..=6 {
        publish(&address, &folder.table(number), &[]).generation();
    }
    publish(&address, &folder.table(7), &["--ring", "canary"]).generation();
    let last = publish(&address, &folder.table(6), &["--wait", "20"]).generation();
    node.wait(last);
    let ids = |json: &serde_json::Value| -> Vec<String> {
        let all = json.as_array().unwrap().iter();
        let mut ids: Vec<String> = all
            .map(|object| object.as_str().unwrap()[..32].to_string())
            .collect();
        ids.sort();
        ids
    };
    let of = |numbers: &[u8]| {
        let mut ids: Vec<String> = numbers
            .iter()
            .map(|number| content_id(*number).to_string())
            .collect();
        ids.sort();
        ids
    };
    let prune = |more: &[&str]| run(&[&["prune", &address], more].concat());
    // By default all are kept.
    let nothing = prune(&[]);
    assert_eq!(ids(&nothing.json["removed"]), of(&[]), "{nothing:?}");
    let dry = prune(&["--keep", "1", "--dry-run"]);
    assert_eq!(ids(&dry.json["removed"]), of(&[1, 2, 3, 4]), "{dry:?}");
    assert_eq!(ids(&dry.json["kept"]), of(&[5, 6, 7]), "{dry:?}");
    let pruned = prune(&["--keep", "1"]);
    assert_eq!(pruned.json["removed"], dry.json["removed"], "{pruned:?}");
    let again = prune(&["--keep", "1"]);
    assert_eq!(ids(&again.json["removed"]), of(&[]), "{again:?}");
    assert_eq!(again.json["kept"], dry.json["kept"], "{again:?}");
    // A rollback to a removed table is refused; a kept table is there for a new machine.
    let gone = run(&["rollback", &address, "--to", "2"]);
    gone.fails("no-generation");
    let back = run(&["rollback", &address, "--wait", "20"]);
    assert_eq!(
        back.json["content_id"],
        content_id(5).to_string(),
        "{back:?}"
    );
    node.wait(back.generation());
    node.kill();
    // It is out of service.
    for status in [0, 1] {
        assert_eq!(run(&["forget", "one", &address]).status, status);
    }
    let fresh = Node::new(&folder, "fresh", &address, &[]);
    fresh.wait_table(back.generation(), content_id(5));
    // A removed table can be published again.
    let next = publish(&address, &folder.table(2), &["--wait", "20"]).generation();
    fresh.wait(next);
    fresh.is_sound();
}
