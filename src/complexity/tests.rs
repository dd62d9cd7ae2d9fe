//! The same function in every language, counted by hand once, and the examples of SonarSource's paper.

#![allow(clippy::unwrap_used)]

use super::{Language, functions};

/// Name, cyclomatic, cognitive.
fn counted(language: Language, text: &str) -> Vec<(String, u32, u32)> {
    let found = functions(language, text).expect("it parses");
    found.into_iter().map(|f| (f.name, f.cyclomatic, f.cognitive)).collect()
}

fn one(name: &str, cyclomatic: u32, cognitive: u32) -> Vec<(String, u32, u32)> {
    vec![(name.to_owned(), cyclomatic, cognitive)]
}

/// Cyclomatic: 1, two loops, two ifs, one else-if, two operators: 8. Cognitive: loop 1, loop in it 2, if in that 3; if
/// in the outer loop 2, two runs of operators 2, else-if 1, else 1: 12.
#[test]
fn one_function_counts_alike_in_every_language() {
    for (language, text) in [
        (
            Language::Python,
            "def f(n):\n    t = 0\n    for i in range(n):\n        for j in range(i):\n            if i % j == 0:\n                break\n        \
             if t and i > 2 or i < 0:\n            t += i\n        elif t:\n            t += 1\n        else:\n            t += 2\n    return t\n",
        ),
        (
            Language::Rust,
            "fn f(n: u32) -> u32 {\n let mut t = 0;\n for i in 0..n {\n  for j in 1..i { if i % j == 0 { break; } }\n  \
             if t > 0 && i > 2 || i == 0 { t += i; } else if t > 9 { t += 1; } else { t += 2; }\n }\n t\n}\n",
        ),
        (
            Language::JavaScript,
            "function f(n) { let t = 0; for (let i = 0; i < n; i++) { for (const j of i) { if (i % j === 0) { break; } }\n \
             if (t && i > 2 || i < 0) { t += i; } else if (t) { t += 1; } else { t += 2; } } return t; }\n",
        ),
        (
            Language::TypeScript,
            "function f(n: number): number { let t = 0; for (let i = 0; i < n; i++) { while (i) { if (i % 2 === 0) { break; } }\n \
             if (t && i > 2 || i < 0) { t += i; } else if (t) { t += 1; } else { t += 2; } } return t; }\n",
        ),
        (
            Language::Tsx,
            "function f(n: number) { let t = 0; for (;;) { do { if (n) { break; } } while (t);\n \
             if (t && n > 2 || n < 0) { t += 1; } else if (t) { t += 1; } else { t += 2; } } return <b>{t}</b>; }\n",
        ),
        (
            Language::Go,
            "package p\nfunc f(n int) int {\n t := 0\n for i := 0; i < n; i++ {\n  for j := range i { if i%j == 0 { break } }\n  \
             if t > 0 && i > 2 || i < 0 { t += i } else if t > 9 { t++ } else { t += 2 }\n }\n return t\n}\n",
        ),
        (
            Language::C,
            "int f(int n) { int t = 0; for (int i = 0; i < n; i++) { while (i) { if (i % 2 == 0) break; }\n \
             if ((t && i > 2) || i < 0) { t += i; } else if (t) { t += 1; } else { t += 2; } } return t; }\n",
        ),
        (
            Language::Cpp,
            "int f(std::vector<int> v) { int t = 0; for (auto i : v) { while (i) { if (i % 2 == 0) break; }\n \
             if (t && i > 2 || i < 0) { t += i; } else if (t) { t += 1; } else { t += 2; } } return t; }\n",
        ),
    ] {
        assert_eq!(counted(language, text), one("f", 8, 12), "{language:?}");
    }
    let java = "class A { int f(int n) { int t = 0; for (int i = 0; i < n; i++) { for (int j : x) { if (i % j == 0) { break; } }\n \
                if (t > 0 && i > 2 || i < 0) { t += i; } else if (t > 9) { t += 1; } else { t += 2; } } return t; } }\n";
    assert_eq!(counted(Language::Java, java), one("A.f", 8, 12));
}

/// "Cognitive Complexity", SonarSource, appendix: 7 and 1, where McCabe says 4 to both.
#[test]
fn the_papers_own_examples_come_to_the_papers_numbers() {
    let text = "class A {\n int sumOfPrimes(int max) { int total = 0;\n OUT: for (int i = 1; i <= max; ++i) {\n \
                for (int j = 2; j < i; ++j) { if (i % j == 0) { continue OUT; } }\n total += i; }\n return total; }\n \
                String getWords(int number) { switch (number) { case 1: return \"one\"; case 2: return \"a couple\"; \
                case 3: return \"a few\"; default: return \"lots\"; } } }\n";
    let found = counted(Language::Java, text);
    assert_eq!(found, [("A.sumOfPrimes".to_owned(), 4, 7), ("A.getWords".to_owned(), 4, 1)]);
}

#[test]
fn switches_catches_ternaries_and_closures() {
    // try is free; except 1; ternary in it 2; lambda one deeper: `or` 1. match 1 with two cases and a wildcard.
    let python = "class S:\n    def f(self, x):\n        try:\n            g = lambda y: y or x\n        except E:\n            \
                  return 1 if x else 2\n        match x:\n            case 1: pass\n            case 2: pass\n            case _: pass\n";
    assert_eq!(counted(Language::Python, python), one("S.f", 6, 5));
    // match 1, two arms of three; closure: if at 1+1; labelled break 1.
    let rust = "impl S { fn f(&self) { 'a: loop { break 'a; }\n match x { 1 => a(), 2 => b(), _ => c() }\n \
                let g = |y| if y { 1 } else { 2 }; let Some(z) = x else { return }; } }\n";
    assert_eq!(counted(Language::Rust, rust), one("S.f", 6, 7));
    // The arrow's own name; a callback counts into what it stands in.
    let js = "const f = (x) => { xs.map(y => { if (y) { z(); } }); return x ? a ?? b : c; };\n";
    assert_eq!(counted(Language::JavaScript, js), one("f", 4, 4));
    let go = "package p\nfunc (s *Shop) F(x any) { switch x.(type) { case int: a()\n case string: b()\n default: c() }\n goto end\nend: }\n";
    assert_eq!(counted(Language::Go, go), one("Shop.F", 3, 2));
    let cpp = "namespace n { class A { int g(int x) { try { h(); } catch (E& e) { return x ? 1 : 2; } switch (x) { case 1: break; default: break; } return 0; } }; }\n";
    assert_eq!(counted(Language::Cpp, cpp), one("n.A.g", 4, 4));
}

#[test]
fn complexity_outside_of_functions_is_seen_too() {
    let moved = "if a:\n    if b:\n        c()\ndef f():\n    pass\n";
    assert_eq!(counted(Language::Python, moved), [("f".to_owned(), 1, 0), ("(top level)".to_owned(), 3, 3)]);
}

#[test]
fn what_does_not_parse_is_not_measured() {
    assert_eq!(functions(Language::Rust, "fn f( {"), None);
    let deep = format!("x = {}1{}\n", "(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(functions(Language::Python, &deep), None);
    assert_eq!(functions(Language::Python, ""), Some(Vec::new()));
}

#[test]
fn a_long_chain_of_operators_is_one_thing() {
    let chain = format!("fn f() -> bool {{ {} a }}\n", "a && ".repeat(300));
    assert_eq!(counted(Language::Rust, &chain), one("f", 301, 1));
}
