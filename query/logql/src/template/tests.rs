//! Templates with our own labels, and any text as a template.

use proptest::prelude::*;

use super::*;

fn write(text: &str) -> Result<String, String> {
    let labels = Labels::of_stream([("app", "web"), ("n", "7"), ("e", ""), ("j", r#"{"a":[1,"b",{"c":null}],"d":1.5}"#)]);
    let data = Data { labels: &labels, line: "the line", ts_ns: 1_600_000_000_123_456_789, now_ns: 1_700_000_000_000_000_000 };
    let template = Template::parse("line", text)?;
    let mut out = String::new();
    template.execute(&data, &mut out, &mut RegexCache::default()).map(|()| out)
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(write(text).as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn fails(text: &str, expected: &str) {
    assert_eq!(write(text), Err(expected.to_owned()), "{text}");
}

#[test]
fn structure() {
    check("a {{- /* note */ -}} b", "ab");
    check("a  {{- .app -}}  b", "awebb");
    check("{{if .e}}x{{else if .n}}y{{else}}z{{end}}", "y");
    check("{{with .app}}{{.}}{{else}}none{{end}}{{with .e}}{{.}}{{else with .n}}{{.}}{{end}}", "web7");
    check("{{$x := .app}}{{if true}}{{$x = `new`}}{{end}}{{$x}}", "new");
    check("{{range $k, $v := .}}{{$k}}={{len $v}} {{end}}", "app=3 e=0 j=32 n=1 ");
    check("{{range $i, $v := (fromJson .j).a}}{{if eq $i 2}}{{break}}{{end}}{{$v}},{{end}}", "1,b,");
    check("{{range 3}}{{if eq . 1}}{{continue}}{{end}}{{.}}{{end}}", "02");
    check("{{define `t`}}<{{.}}>{{end}}{{template `t` .app}}", "<web>");
    check("{{range fromJson `[]`}}x{{else}}empty{{end}}", "empty");
    check("{{(fromJson .j).d}} {{(fromJson .j).nope}}", "1.5 <no value>");
    check("{{ .app | printf `%s-%s` .n }}", "7-web");
    check("{{ print (len .app) 1 `x` }} {{ println `a` 1 }}", "3 1x a 1\n");
}

#[test]
fn builtin_functions() {
    check("{{and .app .e}}|{{or .e .n}}|{{not .e}}", "|7|true");
    check("{{eq .n `6` `7`}} {{ne .n `7`}} {{lt 1 2}} {{ge 1.5 2.5}} {{eq (int .n) 7}}", "true false true false true");
    check("{{index . `app`}} {{index (fromJson .j) `a` 1}} {{slice .app 1 2}}", "web b e");
    check("{{html `<a&b>`}} {{js `it's`}} {{urlquery `a b&c`}}", "&lt;a&amp;b&gt; it\\'s a+b%26c");
    check("{{len (fromJson .j)}}", "2");
}

#[test]
fn printf() {
    check(
        r#"{{printf "%d|%5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c|%q|%U" 42 42 42 42 42 42 42 42 5 65 65 65}}"#,
        "42|   42|42   |00042|+42|2a|2A|52|101|A|'A'|U+0041",
    );
    check(
        r#"{{printf "%s|%10s|%-10s|%.2s|%q|%x|% X" `abc` `abc` `abc` `abc` `a"b` `hi` `hi`}}"#,
        "abc|       abc|abc       |ab|\"a\\\"b\"|6869|68 69",
    );
    check(
        r#"{{printf "%f|%.2f|%8.3f|%e|%g|%g|%v|%v" 1.5 1.005 3.14159 12345.678 1e6 1e-7 1e20 3.0}}"#,
        "1.500000|1.00|   3.142|1.234568e+04|1e+06|1e-07|1e+20|3",
    );
    check(r#"{{printf "%t|%v|%T|%T" true nil 1 `a`}}"#, "true|<nil>|int|string");
    check(
        r#"{{printf "%d" `a`}}|{{printf "%d"}}|{{printf "x" 1}}|{{printf "%"}}"#,
        "%!d(string=a)|%!d(MISSING)|x%!(EXTRA int=1)|%!(NOVERB)",
    );
    check(r#"{{printf "%[2]d %[1]d" 1 2}} {{printf "%*d" 5 1}}"#, "2 1     1");
    check(r#"{{printf "%6.2f%%" 99.5}} {{printf "%06.1f" -2.5}}"#, " 99.50% -002.5");
}

#[test]
fn texts() {
    check("{{title `hello wORLD x`}} {{trunc -2 `abc`}} {{substr 1 -1 `abc`}} {{repeat 3 `ab`}}", "Hello WORLD X bc bc ababab");
    check("{{trimAll `$` `$5$`}} {{trimPrefix `a` `ab`}} {{TrimLeft `xxa` `x`}} {{Replace `aaa` `a` `b` 2}}", "5 b a bba");
    check("{{regexReplaceAll `(\\w)(\\d)` `a1 b2` `${2}$1`}} {{regexReplaceAllLiteral `a` `aa` `$1`}}", "1a 2b $1$1");
    check("{{indent 2 `a\nb`}}", "  a\n  b");
    check("{{alignLeft 5 .app}}|{{alignRight 5 .app}}|{{alignRight 2 .app}}", "web  |  web|eb");
    check("{{default `x` .e}} {{default `x` .app}} {{.nope | default `y`}}", "x web y");
    check("{{b64enc `a?`}} {{b64dec `YT8=`}} {{b64dec `!`}}", "YT8= a? illegal base64 data at input byte 0");
}

#[test]
fn numbers() {
    check("{{add 1 .n}} {{sub 5 7}} {{mul 2 3 .n}} {{div 7 2}} {{mod 7 4}} {{max 1 9 3}} {{min 4 2}}", "8 -2 42 3 3 9 2");
    check("{{addf 0.1 0.2}} {{subf 1 0.9}} {{mulf 1.1 1.1}} {{divf 1 3}} {{divf 10 4}}", "0.3 0.1 1.21 0.3333333333333333 2.5");
    check("{{round 123.555555 3}} {{ceil 1.2}} {{floor 1.8}} {{maxf 1 2.5}} {{minf 1.5 2}}", "123.556 2 1 2.5 1.5");
    check("{{int `12`}} {{int `x`}} {{int 3.9}} {{float64 `1.5`}} {{int `1.00`}}", "12 0 3 1.5 1");
    check("{{bytes `1.5KiB`}} {{duration `1m30s`}} {{duration_seconds `1ms`}}", "1536 90 0.001");
}

#[test]
fn times() {
    check("{{__timestamp__}}", "2020-09-13 12:26:40.123456789 +0000 UTC");
    check(
        "{{__timestamp__ | date `Mon, 02 Jan 2006 03:04:05.000 PM MST -07:00`}}",
        "Sun, 13 Sep 2020 12:26:40.123 PM UTC +00:00",
    );
    check("{{__timestamp__ | date `2006-01-02T15:04:05.999Z07:00`}}", "2020-09-13T12:26:40.123Z");
    check("{{now | unixEpoch}} {{unixEpochMillis now}}", "1700000000 1700000000000");
    check("{{toDate `2006-01-02` `2024-02-29` | unixEpoch}}", "1709164800");
    check("{{toDate `2006-01-02` `nonsense`}}", "0001-01-01 00:00:00 +0000 UTC");
    check("{{toDateInZone `2006-01-02 15:04` `Europe/Berlin` `2024-07-01 12:00` | unixEpoch}}", "1719828000");
    check("{{(toDate `02/Jan/2006:15:04:05 -0700` `10/Oct/2000:13:55:36 -0700`).UTC}}", "2000-10-10 20:55:36 +0000 UTC");
    check("{{date `15:04` (int `3600`)}}", "01:00");
    check("{{unixToTime `1679577215` | date `2006`}} {{(now).Year}} {{(now).Format `Jan _2`}}", "2023 2023 Nov 14");
}

#[test]
fn mistakes() {
    fails("{{.app", "template: line:1: unclosed action");
    fails("{{nope}}", "template: line:1: function \"nope\" not defined");
    fails("{{$x}}", "template: line:1: undefined variable \"$x\"");
    fails("{{if .a}}", "template: line:1: unexpected EOF");
    fails("{{end}}", "template: line:1: unexpected {{end}}");
    fails("a\n{{break}}", "template: line:2: {{break}} outside {{range}}");
    fails("{{}}", "template: line:1: missing value for command");
    fails("{{lower 1}}", "template: line:1:8: executing \"line\" at <1>: wrong type for value; expected string; got int");
    fails(
        "x{{div 1 0}}",
        "template: line:1:3: executing \"line\" at <div>: error calling div: runtime error: integer divide by zero",
    );
    fails("{{.app.x}}", "template: line:1:2: executing \"line\" at <.app.x>: can't evaluate field x in type string");
}

#[test]
fn bounds() {
    for text in [
        "{{range 10000000}}x{{end}}",
        "{{define `t`}}{{template `t`}}{{end}}{{template `t`}}",
        "{{repeat 100000000 `x`}}",
        "{{indent 2000000000 `x`}}",
        "{{alignLeft 999999999 `x`}}",
        "{{range 999999}}{{range 999999}}{{end}}{{end}}",
        "{{printf `%999999d%999999d%999999d%999999d%999999d` 1 1 1 1 1}}",
    ] {
        assert!(write(text).is_err(), "{text}");
    }
    assert!(write(&"{{if 1}}".repeat(5000)).is_err());
    assert!(write(&format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000))).is_err());
}

#[test]
fn widths_are_any() {
    check(
        "{{len (printf `%.100000d` 1)}} {{len (printf `%0100000d` 1)}} {{len (printf `%100000s` `a`)}}",
        "100000 100000 100000",
    );
    check("{{len (date (printf `05.%0100000d` 0) now)}} {{len (printf `%.100000f` 1.5)}}", "100003 1002");
}

#[test]
fn cut_characters_are_replaced_at_the_end_only() {
    check("{{trunc 1 `é`}}", "\u{fffd}");
    check("{{trunc 1 `é`}}{{substr 1 2 `é`}}", "é");
}

#[test]
fn labels_that_are_looked_at() {
    let mut names = Vec::new();
    Template::parse("line", "{{.a}}{{if .b | upper}}{{range .c}}{{$.d}}{{end}}{{end}}{{index . `e`}}")
        .unwrap()
        .label_names(&mut names);
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

proptest! {
    #[test]
    fn no_text_panics(text in "(\\{\\{|\\}\\}|[ -]|\\.a|\\$x|:=|=|\\||\\(|\\)|if|range|with|else|end|printf|index|slice|substr|date|add|`%[-+# 0]?[0-9*]?[.]?[dsvqxegfT%]`|`2006 Jan _2 15:04:05.000`|-?[0-9]|`é`){0,14}") {
        let _ = write(&text);
    }

    #[test]
    fn no_action_panics(text in "[ -~é]{0,24}") {
        let _ = write(&format!("{{{{{text}}}}}"));
    }

    #[test]
    fn no_call_panics(name in prop::sample::select(vec!["substr", "trunc", "slice", "index", "printf", "date", "toDate", "round", "repeat", "unixToTime", "div", "mod", "alignRight", "Replace", "regexReplaceAll", "divf", "b64dec", "urldecode", "bytes", "duration", "toDateInZone", "indent", "fromJson"]), args in prop::collection::vec("-?[0-9]{1,20}|-?[0-9]\\.[0-9]|`[ -_a-~é]{0,8}`|nil|now|\\.|true", 0..5)) {
        let _ = write(&format!("{{{{{name} {}}}}}", args.join(" ")));
    }
}
