use std::collections::BTreeMap;

use serde_json::Value;

use super::super::forest::{Forest, Life};
use super::super::samples::{HOSTILE, a_loop, build, forest, measured, process};
use super::{PAGE, PARTS, write};

fn page(forest: &Forest) -> String {
    let mut output = Vec::new();
    write(forest, "a </script> \"title\"", &mut output).expect("memory");
    String::from_utf8(output).expect("UTF-8")
}

/// The data of a page, found as a browser finds the end of a script element.
fn data(page: &str) -> Value {
    let (_, rest) =
        page.split_once("<script type=\"application/json\" id=\"data\">").expect("data");
    let (data, _) = rest.split_once("</script").expect("an end");
    serde_json::from_str(data).expect("JSON")
}

fn by_pid(data: &Value) -> BTreeMap<u64, &Value> {
    let processes = data["processes"].as_array().expect("a list").iter();
    processes.map(|process| (process["pid"].as_u64().expect("a number"), process)).collect()
}

#[test]
fn every_process_is_in_the_data() {
    let data = data(&page(&build()));
    assert_eq!(data["head"]["period"], 374_000_000);
    let totals = "14 processes, 3 failed, 1 still running, 12 events lost, 374 ms";
    assert_eq!(data["head"]["totals"], totals);
    assert_eq!(data["head"]["losses"], serde_json::json!([[200_000_000, 12]]));
    let processes = by_pid(&data);
    assert_eq!(processes.len(), 14);
    let ld = processes[&108];
    assert_eq!(ld["command"], "/usr/bin/ld -o test a.o b.o");
    assert_eq!((&ld["start"], &ld["end"]), (&292_000_000.into(), &343_000_000.into()));
    assert_eq!((&ld["exit"], ld.get("failed")), (&"exit 0".into(), None));
    let parent = ld["parent"].as_u64().and_then(|index| usize::try_from(index).ok());
    assert_eq!(data["processes"][parent.expect("an index")]["pid"], 107);
    assert_eq!(processes[&111]["failed"], true);
    assert_eq!(processes[&113]["running"], true);
    assert_eq!(processes[&100]["programs"].as_array().map(Vec::len), Some(2));
    assert!(processes.values().all(|process| process["lane"].is_u64()));
}

#[test]
fn the_critical_path_leads_to_the_end() {
    let data = data(&page(&build()));
    let path: Vec<(usize, u64, u64)> =
        serde_json::from_value(data["head"]["critical"].clone()).expect("triples");
    assert_eq!((path[0].1, path[path.len() - 1].2), (0, 374_000_000));
    assert!(path.windows(2).all(|pair| pair[0].2 == pair[1].1), "{path:?}");
    // `make` waits for the compilation of `a.c`, which ends after that of `b.c`, then for `ld`.
    let pids: Vec<u64> =
        path.iter().filter_map(|part| data["processes"][part.0]["pid"].as_u64()).collect();
    assert!(pids.contains(&106) && pids.contains(&108) && !pids.contains(&105), "{pids:?}");
}

#[test]
fn unknown_usage_has_no_keys() {
    let data = data(&page(&measured()));
    let processes = by_pid(&data);
    let compiler = processes[&102];
    assert_eq!((&compiler["cpu"], &compiler["memory"]), (&51_000_000.into(), &63_488_000.into()));
    assert_eq!((&compiler["read"], &compiler["written"]), (&8_388_608.into(), &4_096.into()));
    for key in ["cpu", "user", "memory", "faults", "read", "written"] {
        assert_eq!(processes[&104].get(key), None, "{key}");
    }
}

#[test]
fn hostile_names_do_not_leave_their_element() {
    let more =
        ["<!--<script>", "</SCRIPT >", "\u{2028}\u{2029}", "</style></title>", "@{STYLE}", "&lt;"];
    let names: Vec<&str> = HOSTILE.into_iter().chain(more).collect();
    let lives = names.iter().map(|name| process(None, 1, name, 0, 9)).collect();
    let page = page(&forest(lives));
    let data = data(&page);
    let read = data["processes"].as_array().expect("a list").iter();
    let read: Vec<&str> = read.map(|p| p["command"].as_str().expect("text")).collect();
    for (name, read) in names.iter().zip(read) {
        // Invisible characters are escapes, and all others are unchanged.
        let visible: String = name
            .chars()
            .map(|letter| match letter {
                '\u{1b}' | '\u{7}' | '\0' | '\r' | '\n' | '\t' | '\u{fffe}' | '\u{ffff}'
                | '\u{202e}' | '\u{2028}' | '\u{2029}' => letter.escape_unicode().to_string(),
                _ => letter.to_string(),
            })
            .collect();
        assert_eq!(read, visible);
    }
    assert_eq!(data["head"]["title"], "a </script> \"title\"");
    // The same elements as in a page without processes.
    let plain = self::page(&Forest::default());
    for mark in ["<script", "</script", "<!--", "</style", "<title"] {
        let count = |page: &str| page.to_lowercase().matches(mark).count();
        assert_eq!(count(&page), count(&plain), "{mark}");
    }
}

#[test]
fn a_page_is_complete_and_asks_for_nothing() {
    let page = page(&build());
    assert!(!page.contains("@{"), "a marker without a part");
    for (name, part) in PARTS {
        assert!(page.contains(part), "{name}");
        // A part must not end its element.
        assert!(!part.contains("</"), "{name}");
    }
    assert_eq!(PAGE.matches("@{").count(), PARTS.len() + 1);
    let policy = "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                  base-uri 'none'; form-action 'none'\"";
    assert!(page.contains(policy));
    for request in [
        "http:",
        "https:",
        "//cdn",
        " src=",
        " href=",
        "url(",
        "@import",
        "fetch(",
        "XMLHttp",
        "WebSocket",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
    ] {
        assert!(!page.contains(request), "{request}");
    }
}

#[test]
fn empty_and_unusual_forests_are_written() {
    let empty = data(&page(&Forest::default()));
    assert_eq!(empty["processes"].as_array().map(Vec::len), Some(0));
    let early = data(&page(&forest(vec![Life { tgid: 7, ..Life::default() }])));
    assert_eq!(early["processes"][0]["earlier"], true);
    let crowd = (0..1_007).map(|n| process(None, 10 + n, "sleep 1", 0, 1_000_000)).collect();
    let crowd = data(&page(&forest(crowd)));
    assert_eq!(crowd["head"]["left_out"], 7);
    let lanes = crowd["processes"].as_array().expect("a list").iter();
    assert_eq!(lanes.filter(|process| process["lane"].is_null()).count(), 7);
}

#[test]
fn five_thousand_processes_make_a_small_page() {
    let page = page(&a_loop(5_000));
    assert!(page.len() < 1_500_000, "{}", page.len());
    assert_eq!(data(&page)["processes"].as_array().map(Vec::len), Some(5_001));
}

#[test]
fn long_commands_of_many_processes_are_cut() {
    let long = format!("cc {}{}", "x".repeat(3_349), "é".repeat(300));
    let few = data(&page(&forest(vec![process(None, 1, &long, 0, 9)])));
    assert_eq!(few["processes"][0]["command"], *long);
    let at = |n: u32| u64::from(n) * 10;
    let many = (0..5_000).map(|n| process(None, n, &long, at(n), at(n) + 5)).collect();
    let data = data(&page(&forest(many)));
    let commands = data["processes"].as_array().expect("a list").iter();
    let commands: Vec<&str> = commands.map(|p| p["command"].as_str().expect("text")).collect();
    assert!(commands.iter().map(|command| command.len()).sum::<usize>() < (16 << 20) + 5_000 * 8);
    assert!(commands.iter().all(|command| command.len() > 400 && command.ends_with("é…")));
}
