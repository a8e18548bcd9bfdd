use roxmltree::{Document, Node};

use super::super::forest::{Forest, Life};
use super::super::samples::{HOSTILE, MS, a_loop, build, forest, measured, process};
use super::{STYLE, write};

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
    let usage = "\non the critical path for 54 ms (14%)\nCPU time 51 ms (user 51 ms, system 0 ns), \
                 peak memory 60M\n94% of a core\n0 page faults, 0 with I/O\n\
                 0 context switches, 0 involuntary\nread 8.0M, wrote 4.0K";
    assert!(compiler.tooltip.contains(usage), "{compiler:?}");
    // 94, 3 and an unknown number of percent.
    let classes = ["/usr/libexec/cc1", "cc -c", "./server"]
        .map(|start| bar_of(&bars, start).class.split_once(' ').map_or("", |(_, shade)| shade));
    assert_eq!(classes, ["", "u0", ""]);
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
    assert!(svg.len() < 70_000, "{}", svg.len());
}

/// The points of a path of horizontal and vertical lines.
fn points(path: &str) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let parts = path.split_inclusive(|letter: char| letter.is_ascii_alphabetic());
    let commands = parts.clone().map(|part| part.chars().last().expect("a command"));
    for (command, part) in commands.zip(parts.skip(1)) {
        let numbers = part.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let numbers: Vec<f64> =
            numbers.split_whitespace().map(|number| number.parse().expect(path)).collect();
        match (command, &numbers[..]) {
            ('M', &[x, y]) => points.push((x, y)),
            ('H', &[x]) => points.push((x, points.last().expect(path).1)),
            ('V', &[y]) => points.push((points.last().expect(path).0, y)),
            _ => panic!("{command} in {path}"),
        }
    }
    points
}

fn paths(svg: &str, class: &str) -> Vec<String> {
    let document = Document::parse(svg).expect("well-formed XML");
    let paths = document.descendants().filter(|node| node.attribute("class") == Some(class));
    paths.filter_map(|node| node.attribute("d")).map(str::to_owned).collect()
}

#[test]
fn the_critical_path_is_a_line_below_its_bars() {
    let forest = build();
    let svg = draw(&forest);
    let (bars, lines) = (bars(&svg), paths(&svg, "k"));
    // The first is in the legend.
    let [_, line] = &lines[..] else { panic!("{lines:?}") };
    let points = points(line);
    // At 150 of 374 ms is cc1 a.s, and at 300 ms is ld; cc1 b.s is not on the path.
    for (ms, start) in [(150.0, "/usr/libexec/cc1 -quiet -o /tmp/a.s"), (300.0, "/usr/bin/ld")] {
        let x = 20.0 + 1240.0 * ms / 374.0;
        let part = points.chunks(2).find(|part| part[0].0 < x && x < part[1].0).expect(line);
        let bar = bar_of(&bars, start);
        assert!((bar.y..bar.y + 20.0).contains(&part[0].1), "{part:?} is not at {bar:?}");
        assert!((bar.x - part[0].0).abs() < 1.0 && (bar.end - part[1].0).abs() < 1.0, "{part:?}");
    }
    // Every line but the first begins where the one before it ended.
    let between = self::points(&paths(&svg, "j")[0]);
    assert_eq!(between.len(), points.len() - 2);
    for (joint, lines) in between.chunks(2).zip(points[1..].chunks(2)) {
        assert_eq!(joint, lines);
    }
    let ends = [points[0].0, points[points.len() - 1].0];
    assert!((ends[0] - 20.0).abs() < 1.0 && (ends[1] - 1260.0).abs() < 1.0, "{ends:?}");
}

#[test]
fn the_strip_has_the_processes_the_cores_and_the_memory() {
    let svg = draw(&measured());
    let caption = ">1.0 processes at a time on average, at most 2; at least 0.3 of 2 cores used   \
                   (pale: processes at a time; strong: cores in use (estimate); dashed: 2 cores)<";
    assert!(svg.contains(caption), "{svg}");
    // The compiler from 11 to 65 ms: alone, because its parents wait.
    let tooltip = "<title>from 30 ms to 31 ms\n1.0 processes at a time\n\
                   1.0 cores in use (estimate)\nat most 65M of memory</title>";
    assert!(svg.contains(tooltip), "{svg}");
    let (processes, used) = (paths(&svg, "p"), paths(&svg, "u"));
    assert_eq!([processes.len(), used.len(), paths(&svg, "y").len()], [1, 1, 1]);
    // One of two: half of the height of 40, above the bottom.
    let points = points(processes[0].trim_end_matches('z'));
    let bottom = points[0].1;
    let at_20_percent = points.iter().take_while(|point| point.0 < 268.0).last();
    assert!((bottom - 20.0 - at_20_percent.expect("a point").1).abs() < 0.1, "{points:?}");
    // Without usage, only the processes are known.
    let svg = draw(&build());
    assert_eq!(["p", "u", "y"].map(|class| paths(&svg, class).len()), [1, 0, 0]);
    assert!(!svg.contains("cores in use") && !svg.contains(" of memory"));
}

/// The relative luminance of a colour (WCAG 2.1).
fn luminance(color: &str) -> f64 {
    let digits = color.trim_start_matches('#');
    let doubled: String = match digits.len() {
        3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
        _ => digits.to_owned(),
    };
    let part = |at: usize| {
        let value = u8::from_str_radix(&doubled[at..at + 2], 16).expect(color);
        let value = f64::from(value) / 255.0;
        if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}

#[test]
fn labels_can_be_read_on_every_bar_in_both_schemes() {
    let (light, dark) = STYLE.split_once("@media").expect("two schemes");
    for style in [light, dark] {
        let fill = |selector: &str| {
            let (_, rule) = style.split_once(&format!("{selector}{{")).expect(selector);
            let rule = rule.split_once('}').expect(selector).0;
            let color = rule.split(';').find_map(|part| part.strip_prefix("fill:"));
            luminance(color.expect(selector))
        };
        let text = fill("text");
        for class in [".bg", ".c0", ".c1", ".c2", ".c3", ".c4", ".c5", ".c6", ".c7", ".c8", ".c9"]
            .into_iter()
            .chain([".f", ".m"])
        {
            let bar = fill(class);
            let contrast = (text.max(bar) + 0.05) / (text.min(bar) + 0.05);
            assert!(contrast >= 4.5, "{class}: {contrast}");
        }
    }
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
        before[0].tooltip.contains("\nexisted at the start, still running at the end: at least "),
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
