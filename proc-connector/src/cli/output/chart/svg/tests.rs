use roxmltree::{Document, Node};

use super::super::forest::{Forest, Life};
use super::super::samples::{HOSTILE, MS, a_loop, build, forest, measured, process};
use super::write;

fn draw(forest: &Forest) -> String {
    let mut output = Vec::new();
    write(forest, "a <title>", &mut output).expect("memory");
    String::from_utf8(output).expect("UTF-8")
}

fn number(node: Node<'_, '_>, attribute: &str) -> f64 {
    node.attribute(attribute).expect(attribute).parse().expect("a number")
}

/// The bar of one process or of a group.
#[derive(Debug)]
struct Bar {
    x: f64,
    end: f64,
    y: f64,
    class: String,
    tooltip: String,
    label: Option<String>,
    /// The widest extent of its text.
    text: Option<(f64, f64)>,
    arrows: usize,
}

fn bars(svg: &str) -> Vec<Bar> {
    let document = Document::parse(svg).expect("well-formed XML");
    let font = svg.split_once(".b{font-size:").and_then(|(_, rest)| rest.split_once("px"));
    let font: f64 = font.expect("a size").0.parse().expect("a number");
    let groups = document.root_element().children().filter(|node| node.has_tag_name("g"));
    let bar = |group: Node<'_, '_>| {
        let child = |name: &str| group.children().find(|node| node.has_tag_name(name));
        let (rect, label) = (child("rect")?, child("text"));
        let text = label.map(|label| {
            let letters =
                label.text().expect("letters").chars().map(|letter| {
                    unicode_width::UnicodeWidthChar::width(letter).unwrap_or_default()
                });
            #[expect(clippy::cast_precision_loss, reason = "a few letters")]
            // The width of the widest font in the style.
            let (x, width) = (number(label, "x"), letters.sum::<usize>() as f64 * font * 0.602);
            if label.attribute("text-anchor").is_some() { (x - width, x) } else { (x, x + width) }
        });
        Some(Bar {
            x: number(rect, "x"),
            end: number(rect, "x") + number(rect, "width"),
            y: number(rect, "y"),
            class: rect.attribute("class").expect("a class").to_owned(),
            tooltip: child("title")?.text().expect("something").to_owned(),
            label: label.and_then(|label| label.text()).map(str::to_owned),
            text,
            arrows: group
                .children()
                .filter(|node| node.has_tag_name("path") && node.attribute("class") != Some("e"))
                .count(),
        })
    };
    groups.filter_map(bar).collect()
}

fn assert_apart(bars: &[Bar]) {
    for (index, bar) in bars.iter().enumerate() {
        assert!(bar.x >= 20.0 && bar.end <= 1260.01, "in the chart: {bar:?}");
        for other in bars[index + 1..].iter().filter(|other| other.y.to_bits() == bar.y.to_bits()) {
            let (first, second) = if bar.x < other.x { (bar, other) } else { (other, bar) };
            assert!(first.end <= second.x + 0.02, "{first:?} and {second:?}");
            let free = |(from, to): (f64, f64), bar: &Bar| to <= bar.x + 0.02 || from >= bar.end;
            for (bar, other) in [(first, second), (second, first)] {
                if let Some(text) = bar.text {
                    assert!(free(text, other), "{bar:?} writes on {other:?}");
                    assert!(other.text.is_none_or(|(from, to)| to <= text.0 || text.1 <= from));
                }
            }
        }
    }
}

fn bar_of<'a>(bars: &'a [Bar], start: &str) -> &'a Bar {
    bars.iter().find(|bar| bar.tooltip.starts_with(start)).expect(start)
}

#[test]
fn every_process_is_a_bar_from_its_start_to_its_end() {
    let forest = build();
    let bars = bars(&draw(&forest));
    assert_eq!(bars.len(), 14);
    for (index, life) in forest.lives.iter().enumerate() {
        let bar = bars.iter().find(|bar| bar.tooltip.contains(&format!("\npid {}", life.tgid)));
        let bar = bar.expect("a bar");
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        let x = |ns: u64| 20.0 + 1240.0 * (ns - forest.begin_ns) as f64 / (374 * MS) as f64;
        assert!((bar.x - x(forest.start(index))).abs() < 0.02, "{bar:?}");
        assert!((bar.end - x(forest.end(index))).abs() < 1.0, "{bar:?}");
        assert!(bar.tooltip.starts_with(&*life.command()), "{bar:?}");
        assert!(bar.tooltip.contains(&life.outcome()), "{bar:?}");
        assert_eq!(bar.class == "f", life.failed(), "{bar:?}");
        assert_eq!(bar.arrows == 1, life.runs(), "{bar:?}");
        if let Some(creator) = life.creator {
            let above = format!("\npid {}", forest.lives[creator].tgid);
            let above = bars.iter().find(|bar| bar.tooltip.contains(&above)).expect("its creator");
            assert!(above.y < bar.y, "{bar:?} is below {above:?}");
        }
    }
    assert_apart(&bars);
    assert_eq!(bar_of(&bars, "make").label.as_deref(), Some("✗ make -j2 test"));
    assert_eq!(bar_of(&bars, "/usr/bin/ld").label.as_deref(), Some("ld -o test a.o b.o"));
    let threads = bar_of(&bars, "./test --threads");
    assert!(threads.tooltip.contains("4 more threads"), "{threads:?}");
    assert!(threads.tooltip.contains("from 250 ms to 262 ms: 12 ms"), "{threads:?}");
}

#[test]
fn a_known_usage_is_in_tooltips_and_in_the_head() {
    let svg = draw(&measured());
    assert!(svg.contains(">10 processes, 0 failed, 1 still running, 374 ms, 93 ms of CPU time in 9 of the processes, peak memory 60M (cc1)<"), "{svg}");
    let bars = bars(&svg);
    let compiler = bar_of(&bars, "/usr/libexec/cc1");
    let usage =
        "\nCPU time 51 ms (user 51 ms, system 0 ns), peak memory 60M\nread 8.0M, wrote 4.0K";
    assert!(compiler.tooltip.contains(usage), "{compiler:?}");
    assert!(!bar_of(&bars, "./server").tooltip.contains("CPU"));
    let mut forest = a_loop(2_000);
    forest.lives = forest.lives.into_iter().map(|life| life.using(250, 900, [0, 0])).collect();
    let bars = self::bars(&draw(&forest));
    let many = bar_of(&bars, "2000 processes");
    assert!(many.tooltip.contains("\nCPU time 500 ms together"), "{many:?}");
}

#[test]
fn a_loss_is_a_line_where_it_happened() {
    let svg = draw(&build());
    let document = Document::parse(&svg).expect("well-formed XML");
    let line = document.descendants().find(|node| node.text() == Some("12 events lost here"));
    let line = line.expect("a title").parent().expect("a group").last_element_child();
    let path = line.and_then(|line| line.attribute("d")).expect("a path");
    // 200 of 374 ms.
    assert!(path.starts_with("M683.1 "), "{path}");
}

#[test]
fn a_long_loop_is_one_bar_with_its_failures() {
    let svg = draw(&a_loop(5_000));
    let bars = bars(&svg);
    assert_eq!(bars.len(), 2);
    assert_apart(&bars);
    let many = bar_of(&bars, "5000 processes, 7 failed");
    assert!(many.tooltip.contains("\n5000 × true"), "{many:?}");
    assert_eq!(many.label.as_deref(), Some("5000 × true"));
    assert_eq!(svg.matches("class=\"x\"").count() - 1, 7, "lines, besides the legend's");
    assert!(svg.len() < 5_000, "{}", svg.len());
}

#[test]
fn many_parallel_processes_are_all_drawn_in_a_small_file() {
    let mut lives = vec![process(None, 1, "make -j", 0, 1_000_000)];
    for n in 0..5_000 {
        let start = 1_000 + u64::from(n) * 150;
        let life = process(0, 10 + n, "cc -c a_file_with_a_long_name.c", start, start + 60_000);
        lives.push(life);
    }
    let svg = draw(&forest(lives));
    let bars = bars(&svg);
    assert_eq!(bars.len(), 5_001);
    assert_apart(&bars);
    let lanes: std::collections::BTreeSet<String> =
        bars.iter().map(|bar| bar.y.to_string()).collect();
    // 400 at the same time, below their parent.
    assert!((400..=403).contains(&lanes.len()), "{}", lanes.len());
    assert!(svg.len() < 3_000_000, "{}", svg.len());
}

#[test]
fn eighty_thousand_processes_make_a_small_file() {
    let mut lives = vec![process(None, 1, "make -j", 0, 10_000_000)];
    // 500 lanes with a bar every eight pixels.
    for n in 0..80_000_u32 {
        let start = u64::from(n / 500) * 62_500 + u64::from(n % 500);
        lives.push(process(0, 10 + n, "cc", start, start + 60_000));
    }
    let svg = draw(&forest(lives));
    assert!(bars(&svg).len() <= 20_000);
    assert!(svg.len() < 10_000_000);
}

#[test]
fn processes_without_a_lane_are_counted_in_the_head() {
    let lives = (0..1_007).map(|n| process(None, 10 + n, "sleep 1", 0, 1_000_000)).collect();
    let svg = draw(&forest(lives));
    assert_eq!(bars(&svg).len(), 1_000);
    assert!(svg.contains(">1007 processes, 0 failed, 1.0 s; 7 not drawn for lack of space<"));
}

#[test]
fn an_empty_forest_and_a_moment_can_be_drawn() {
    assert!(bars(&draw(&Forest::default())).is_empty());
    let moment = bars(&draw(&forest(vec![process(None, 7, "true", 0, 0)])));
    assert_eq!(moment.len(), 1);
    let before = Life { tgid: 7, ..Life::default() };
    let before = bars(&draw(&forest(vec![before])));
    assert_eq!(before[0].arrows, 2);
    assert!(
        before[0].tooltip.contains("from before the chart to after the chart: at least "),
        "{before:?}"
    );
}

#[test]
fn hostile_names_are_text() {
    let lives: Vec<Life> =
        HOSTILE.iter().map(|name| process(None, 1, name, 0, 900).ending(9)).collect();
    let svg = draw(&forest(lives));
    let bars = bars(&svg);
    assert_eq!(bars.len(), HOSTILE.len());
    assert_apart(&bars);
    let document = Document::parse(&svg).expect("well-formed XML");
    assert!(!document.descendants().any(|node| node.has_tag_name("script")));
    bar_of(&bars, HOSTILE[0]);
    bar_of(&bars, HOSTILE[1]);
}
