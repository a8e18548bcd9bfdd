//! The page of `-o x.html` in a browser, used as a reader uses it: with the mouse and the keyboard.

mod browser;
mod common;

use std::process::ExitCode;

use browser::{Page, WINDOW, assert_quiet, selected_row};
use common::named;
use common::program::{run, text};
use common::scratch::Scratch;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let everywhere = named![
        a_bar_and_its_row_select_each_other,
        the_timeline_zooms_and_pans,
        a_search_lists_and_highlights_the_matches,
        the_table_sorts_and_obeys_the_keyboard,
        the_strip_shows_the_sums_of_the_processes,
        programs_sort_and_limit_the_page,
    ];
    common::main_with(&[], &everywhere, &[])
}

/// The page of the demo, and a copy of its data that no script has read.
fn demo(scratch: &Scratch) -> (Page, Vec<Value>) {
    let file = scratch.file("demo.html");
    let output = run(&["replay", "--demo", "-o", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = Page::open(&file, WINDOW);
    let html = std::fs::read_to_string(&file).expect("a file");
    let (_, data) = html.split_once("id=\"data\">").expect("data");
    let data: Value =
        serde_json::from_str(data.split_once("</script>").expect("an end").0).expect("JSON");
    let processes = data["processes"].as_array().expect("a list").clone();
    assert!(processes.len() > 5);
    (page, processes)
}

/// A point in the bar of a process, as the browser draws it.
fn bar(page: &mut Page, index: usize) -> [f64; 2] {
    let point = page.read(&format!(
        "(() => {{ const p = processes[{index}]; const box = timeline.canvas.getBoundingClientRect(); \
         return [box.x + (timeline.x(p.start) + timeline.x(p.end)) / 2, \
                 box.y + timeline.y(p.lane) + timeline.lane / 2]; }})()"
    ));
    [0, 1].map(|axis| point[axis].as_f64().expect("a number"))
}

/// The process of the demo that took the longest, without the first.
fn longest(processes: &[Value]) -> usize {
    let wall = |process: &Value| process["end"].as_u64().zip(process["start"].as_u64());
    let wall = |&index: &usize| wall(&processes[index]).map(|(end, start)| end - start);
    (1..processes.len()).max_by_key(wall).expect("several")
}

fn a_bar_and_its_row_select_each_other() {
    let scratch = Scratch::new("select");
    let (mut page, processes) = demo(&scratch);
    assert_eq!(page.text("#title"), "demo");
    let count = format!("{} processes", processes.len());
    assert!(page.text("#totals").starts_with(&count), "{}", page.text("#totals"));
    let index = longest(&processes);
    let pid = processes[index]["pid"].to_string();
    assert_eq!(selected_row(&mut page), Value::Null);
    let [x, y] = bar(&mut page, index);
    page.click_at(x, y);
    assert_eq!(selected_row(&mut page), pid);
    let heading = page.text("#details h2");
    assert_eq!(heading.split(' ').next(), Some(&*pid));
    assert_eq!(page.text("#details pre"), processes[index]["command"].as_str().expect("text"));
    assert!(page.text("#details dl").contains(processes[index]["exit"].as_str().expect("text")));
    // The row of another process moves the selection in the timeline.
    let marked = |page: &mut Page| page.read("timeline.selected");
    assert_eq!(marked(&mut page), index);
    page.click("#row-0 td");
    assert_eq!(marked(&mut page), 0);
    assert_eq!(selected_row(&mut page), processes[0]["pid"].to_string());
    // The frame of the selected bar has the colour of the focus.
    let frame = "(() => { const p = processes[0]; return [timeline.x(p.start) + 40, timeline.y(p.lane)]; })()";
    let frame = page.read(frame);
    let [x, y] = [0, 1].map(|axis| frame[axis].as_f64().expect("a number").round());
    assert_eq!(page.pixel(x, y), [0x09, 0x69, 0xda]);
    // A button leads to a child, and the background selects nothing.
    page.click("#details .family button");
    assert_ne!(selected_row(&mut page), processes[0]["pid"].to_string());
    page.key("Escape", 27);
    assert_eq!(selected_row(&mut page), Value::Null);
    assert_eq!(page.text("#details h2, #details .hint").split(' ').next(), Some("Select"));
    assert_quiet(&page);
}

/// The period in view.
fn view(page: &mut Page) -> [f64; 2] {
    let view = page.read("[timeline.view.from, timeline.view.to]");
    [0, 1].map(|end| view[end].as_f64().expect("a number"))
}

/// Whether two periods are equal to the nanosecond.
fn is_same(view: [f64; 2], other: [f64; 2]) -> bool {
    view.into_iter().zip(other).all(|(end, other)| (end - other).abs() < 1.0)
}

fn the_timeline_zooms_and_pans() {
    let scratch = Scratch::new("zoom");
    let (mut page, processes) = demo(&scratch);
    let whole = view(&mut page);
    let length = |view: [f64; 2]| view[1] - view[0];
    let index = longest(&processes);
    let [x, y] = bar(&mut page, index);
    let at =
        |page: &mut Page| page.read(&format!("timeline.time({x})")).as_f64().expect("a number");
    let before = at(&mut page);
    page.wheel(x, y, -400.0);
    let zoomed = view(&mut page);
    assert!(length(zoomed) < length(whole) * 0.6, "{zoomed:?} of {whole:?}");
    assert!((at(&mut page) - before).abs() < length(whole) * 0.001, "the pointer's time stays");
    page.drag([x, y], [x - 150.0, y]);
    let dragged = view(&mut page);
    assert!(dragged[0] > zoomed[0] || zoomed[1] >= whole[1] - 1.0, "{dragged:?}");
    assert!((length(dragged) - length(zoomed)).abs() < 1.0);
    assert_eq!(page.read("selected"), Value::Null, "a drag does not select");
    page.click("#fit");
    assert!(is_same(view(&mut page), whole));
    page.click("#zoom-in");
    let zoomed = view(&mut page);
    assert!((length(whole) / length(zoomed) - 1.5).abs() < 0.01);
    page.click("#left");
    assert!(view(&mut page)[0] < zoomed[0]);
    page.click("#right");
    page.click("#zoom-out");
    assert!((length(view(&mut page)) - length(whole)).abs() < 2.0);
    page.read("document.getElementById('timeline').focus()");
    page.key("+", 187);
    page.key("ArrowRight", 39);
    let moved = view(&mut page);
    assert!(moved[0] > 0.0 && moved[1] <= whole[1] + 1.0);
    page.key("0", 48);
    assert!(is_same(view(&mut page), whole));
    // No period outside the chart is ever shown.
    for _ in 0..5 {
        page.wheel(x, y, 5_000.0);
    }
    assert!(is_same(view(&mut page), whole));
    page.read(&format!("select({index})"));
    page.click("#zoom-selected");
    let [from, to] = view(&mut page);
    let time = |key: &str| processes[index][key].as_f64().expect("a number");
    assert!(from <= time("start") && time("end") <= to && length([from, to]) < length(whole));
    assert_quiet(&page);
}

fn a_search_lists_and_highlights_the_matches() {
    let scratch = Scratch::new("search");
    let (mut page, processes) = demo(&scratch);
    // By name, by argument and by process id.
    let command = |process: &Value| process["command"].as_str().expect("text").to_owned();
    let index = longest(&processes);
    let name = processes[index]["name"].as_str().expect("text").to_owned();
    let argument = command(&processes[index]).rsplit(' ').next().expect("a word").to_owned();
    let pid = processes[index]["pid"].to_string();
    for words in [name.clone(), argument, pid] {
        page.read("document.activeElement.blur()");
        page.key("/", 191);
        assert_eq!(page.read("document.activeElement.id"), "search");
        page.type_text(&words);
        let has = |process: &&Value| {
            let all = format!("{} {} {}", process["pid"], process["name"], command(process));
            all.to_lowercase().contains(&words.to_lowercase())
        };
        let found = page.read("table.order.length").as_u64().expect("a number");
        let expected = processes.iter().filter(has).count();
        assert!(expected > 0 && found >= expected as u64, "{words}: {found} of {expected}");
        assert!(page.text("#count").starts_with(&format!("{found} of ")));
        let rows = page.read("document.querySelectorAll('#table tbody tr[id]').length");
        assert!(rows.as_u64().is_some_and(|rows| rows > 0 && rows <= found), "{rows}");
        let listed = page.read(&format!("document.getElementById('row-{index}') !== null"));
        assert_eq!(listed, true, "{words}");
        // Enter selects the first match.
        page.key("Enter", 13);
        assert_eq!(page.read("selected === table.order[0]"), true);
        page.key("Escape", 27);
        assert_eq!(page.read("table.order.length"), processes.len());
    }
    // A process that does not match is paler than before.
    let [x, y] = bar(&mut page, 0);
    let top = page.read("timeline.canvas.getBoundingClientRect().y").as_f64().expect("a number");
    let point = [x.round(), (y - top - 4.0).round()];
    page.key("Escape", 27);
    let before = page.pixel(point[0], point[1]);
    page.click("#search");
    page.type_text("no process has this");
    assert_eq!(page.read("document.getElementById('none').hidden"), false);
    let paler = page.pixel(point[0], point[1]);
    assert!(paler.iter().sum::<u64>() > before.iter().sum::<u64>(), "{before:?} {paler:?}");
    page.key("Escape", 27);
    page.click("#failed");
    let failed = processes.iter().filter(|process| process["failed"] == true).count();
    assert!(failed > 0);
    assert_eq!(page.read("table.order.length"), failed);
    assert_quiet(&page);
}

fn the_table_sorts_and_obeys_the_keyboard() {
    let scratch = Scratch::new("table");
    let (mut page, processes) = demo(&scratch);
    let column = |page: &mut Page, key: &str| -> Vec<Value> {
        let values =
            page.read(&format!("table.order.map((index) => processes[index].{key} ?? null)"));
        values.as_array().expect("a list").clone()
    };
    let columns = page
        .read("[...document.querySelectorAll('#table th button')].map((b) => b.dataset.column)");
    let columns = columns.as_array().expect("a list").clone();
    for key in ["pid", "name", "wall", "exit", "command"] {
        assert!(columns.contains(&json!(key)), "{key} in {columns:?}");
    }
    for key in columns.iter().map(|key| key.as_str().expect("text")) {
        let mut orders = Vec::new();
        for _ in 0..2 {
            page.click(&format!("#table th button[data-column={key}]"));
            let sort = "document.querySelector('#table th[aria-sort]').getAttribute('aria-sort')";
            let descends = page.read(sort) == "descending";
            assert_eq!(page.read("document.querySelectorAll('#table th[aria-sort]').length"), 1);
            let numbers: Vec<f64> =
                column(&mut page, key).iter().filter_map(Value::as_f64).collect();
            let is_sorted = |a: &f64, b: &f64| if descends { a >= b } else { a <= b };
            assert!(numbers.is_sorted_by(is_sorted), "{key}: {numbers:?}");
            orders.push(descends);
        }
        assert_ne!(orders[0], orders[1], "{key}");
    }
    assert_eq!(column(&mut page, "pid").len(), processes.len());
    page.read("table.table.focus()");
    page.key("Home", 36);
    page.key("ArrowDown", 40);
    assert_eq!(page.read("table.places.get(selected)"), 1);
    let active =
        page.read("document.getElementById('table').getAttribute('aria-activedescendant')");
    assert_eq!(active, page.read("`row-${selected}`"));
    page.key("End", 35);
    assert_eq!(page.read("table.places.get(selected)"), processes.len() - 1);
    page.key("ArrowDown", 40);
    assert_eq!(page.read("table.places.get(selected)"), processes.len() - 1);
    let whole = view(&mut page);
    page.key("Enter", 13);
    assert!(!is_same(view(&mut page), whole));
    // Every control can be reached and has a name.
    let nameless = "[...document.querySelectorAll('button, input, [tabindex]')].filter((e) => \
        !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length";
    assert_eq!(page.read(nameless), 0);
    assert_quiet(&page);
}

/// The processes at a time between two times, on average, and the largest sum of their peak memory.
fn sums(processes: &[Value], [from, to]: [f64; 2]) -> (f64, u64) {
    let time = |process: &Value, key: &str| process[key].as_f64().expect("a number");
    let mut times: Vec<f64> =
        processes.iter().flat_map(|p| [time(p, "start"), time(p, "end")]).collect();
    times.retain(|time| (from..to).contains(time));
    times.extend([from, to]);
    times.sort_by(f64::total_cmp);
    let (mut area, mut most) = (0.0, 0);
    for pair in times.windows(2).filter(|pair| pair[0] < pair[1]) {
        let at = f64::midpoint(pair[0], pair[1]);
        let runs = |p: &Value| time(p, "start") <= at && at < time(p, "end");
        let running: Vec<usize> = (0..processes.len()).filter(|&n| runs(&processes[n])).collect();
        let waits = |&n: &&usize| running.iter().any(|&child| processes[child]["parent"] == *n);
        let working = running.iter().filter(|n| !waits(n)).count();
        area += f64::from(u32::try_from(working).expect("a few")) * (pair[1] - pair[0]);
        most = most.max(running.iter().filter_map(|&n| processes[n]["memory"].as_u64()).sum());
    }
    (area / (to - from), most)
}

fn the_strip_shows_the_sums_of_the_processes() {
    let scratch = Scratch::new("strip");
    let (mut page, processes) = demo(&scratch);
    let text = page.text("#strip-text");
    assert!(text.contains(" processes at a time on average, at most "), "{text}");
    let top = page.read("strip.canvas.getBoundingClientRect().y").as_f64().expect("a number");
    let check = |page: &mut Page| {
        let mut seen = std::collections::BTreeSet::new();
        for x in (20..1_260).step_by(31).map(f64::from) {
            page.hover(x, top + 20.0);
            let tip = page.text("#tip");
            let period = page.read(&format!("[{x}, {x} + 1].map((x) => timeline.time(x))"));
            let period = [0, 1].map(|end| period[end].as_f64().expect("a number"));
            let (mean, memory) = sums(&processes, period);
            let shown = tip.split_once(": ").expect("a time").1.split(' ').next().expect("a mean");
            let shown: f64 = shown.parse().expect("a number");
            assert!((shown - mean).abs() < 0.051, "{mean} in {tip}");
            let memory = page.read(&format!("`at most ${{shortSize({memory})}} of memory`"));
            assert!(tip.ends_with(memory.as_str().expect("text")), "{memory} in {tip}");
            // The lowest pixels are those of an area, if there is a value.
            let is_blank = page.pixel_of("strip.canvas", x, 39.0) == [255; 3];
            assert_eq!(is_blank, mean < 0.02, "{tip}");
            seen.insert(tip);
        }
        seen.len()
    };
    assert!(check(&mut page) > 10);
    // The strip zooms and moves with the timeline, and by itself.
    let whole = view(&mut page);
    page.wheel(400.0, top + 20.0, -600.0);
    let zoomed = view(&mut page);
    assert!(zoomed[1] - zoomed[0] < 0.5 * (whole[1] - whole[0]));
    check(&mut page);
    page.drag([400.0, top + 20.0], [300.0, top + 20.0]);
    assert!(view(&mut page)[0] > zoomed[0]);
    check(&mut page);
    assert_eq!(page.read("selected"), Value::Null);
    assert_quiet(&page);
}

fn programs_sort_and_limit_the_page() {
    let scratch = Scratch::new("programs");
    let (mut page, processes) = demo(&scratch);
    assert_eq!(page.read("document.getElementById('program-rows').hidden"), true);
    page.click("#tab-programs");
    let hidden = "['rows', 'program-rows'].map((id) => document.getElementById(id).hidden)";
    assert_eq!(page.read(hidden), json!([true, false]));
    // Every program, with the sums of its processes.
    let names: std::collections::BTreeSet<&str> =
        processes.iter().map(|p| p["name"].as_str().expect("text")).collect();
    assert!(names.len() > 5);
    let cells = "[...document.querySelectorAll('#program-rows tbody tr[id]')].map((row) => \
        [...row.cells].map((cell) => cell.textContent))";
    let cells = page.read(cells);
    let rows = cells.as_array().expect("rows");
    assert_eq!(rows.len(), names.len());
    for row in rows {
        let members: Vec<&Value> = processes.iter().filter(|p| p["name"] == row[0]).collect();
        let failed = members.iter().filter(|p| p["failed"] == true).count();
        assert_eq!(
            (&row[1], &row[2]),
            (&json!(members.len().to_string()), &json!(failed.to_string()))
        );
        let sum = |key: &str| members.iter().filter_map(|p| p[key].as_u64()).sum::<u64>();
        let most = |values: &mut dyn Iterator<Item = u64>| values.max().unwrap_or_default();
        let wall = |p: &&Value| p["end"].as_u64().zip(p["start"].as_u64()).map(|(a, b)| a - b);
        let times = [
            sum("cpu"),
            members.iter().filter_map(wall).sum(),
            most(&mut members.iter().filter_map(wall)),
        ];
        for (column, time) in (3..).zip(times) {
            let time = page.read(&format!("shortTime({time})"));
            assert!(row[column] == time || row[column] == "", "{time} of {row}");
        }
        let memory = most(&mut members.iter().filter_map(|p| p["memory"].as_u64()));
        let memory = page.read(&format!("shortSize({memory})"));
        assert!(row[7] == memory || row[7] == "", "{memory} of {row}");
    }
    // Sorted by a click, in both directions.
    let column = |page: &mut Page, key: &str| -> Vec<f64> {
        let values = page.read(&format!("programTable.order.map((n) => programs[n].{key} ?? 0)"));
        values.as_array().expect("a list").iter().filter_map(Value::as_f64).collect()
    };
    assert!(column(&mut page, "cpu").is_sorted_by(|a, b| a >= b));
    page.click("#program-rows th button[data-column=wall]");
    assert!(column(&mut page, "wall").is_sorted_by(|a, b| a >= b));
    page.click("#program-rows th button[data-column=wall]");
    assert!(column(&mut page, "wall").is_sorted_by(|a, b| a <= b));
    // A click limits the timeline and the other table to the processes of a program.
    let index = page.read("programs.findIndex((program) => program.members.length > 2)");
    page.click(&format!("#program-{index} td"));
    let name = page.text("#details h2");
    let members: Vec<usize> =
        (0..processes.len()).filter(|&n| processes[n]["name"] == *name).collect();
    assert!(members.len() > 2);
    assert_eq!(page.read("[...timeline.matches].sort((a, b) => a - b)"), json!(members));
    assert_eq!(page.text("#count"), format!("{} of {}", members.len(), processes.len()));
    page.click("#list-program");
    assert_eq!(page.read(hidden), json!([false, true]));
    let rows = page.read("document.querySelectorAll('#table tbody tr[id]').length");
    assert_eq!(rows, members.len());
    page.click("#table tbody tr[id] td");
    assert_eq!(page.read("programs[processes[selected].program].name"), name);
    page.click("#chosen");
    assert_eq!(page.read("[timeline.matches, table.order.length]"), json!([null, processes.len()]));
    assert_eq!(page.read("document.getElementById('chosen').hidden"), true);
    // A process leads to its program, and the keyboard through the programs.
    page.click("#choose-program");
    assert_eq!(page.text("#details h2"), name);
    page.key("Escape", 27);
    assert_eq!(page.read("chosen"), Value::Null);
    page.click("#tab-programs");
    page.read("programTable.table.focus()");
    page.key("Home", 36);
    page.key("ArrowDown", 40);
    assert_eq!(page.read("programTable.places.get(chosen)"), 1);
    page.key("Enter", 13);
    assert_eq!(page.read(hidden), json!([false, true]));
    assert_eq!(page.read("table.order.every((n) => processes[n].program === chosen)"), true);
    // A search lists the programs of its matches.
    page.key("Escape", 27);
    page.click("#tab-programs");
    page.click("#search");
    page.type_text(&name);
    let found = page.read("programTable.order.map((n) => programs[n].name)");
    assert!(found.as_array().is_some_and(|found| found.contains(&json!(name))), "{found}");
    assert!(found.as_array().is_some_and(|found| found.len() < names.len()), "{found}");
    assert_quiet(&page);
}
