//! Local variables below a Python traceback: told where Greenroom's own check asks for them, and nowhere else.

use super::{House, text};

const PROGRAM: &str = "import subprocess, sys\n\ndef half(number):\n    secret_token = 'hidden'\n    return number // 0\n\n\
                       if len(sys.argv) > 1:\n    subprocess.run([sys.executable, __file__])\nelse:\n    half(42)\n";

fn locals(house: &House, command: &str) -> Vec<(String, String)> {
    let repo = house.small_repository();
    std::fs::write(repo.join("half.py"), PROGRAM).expect("a program");
    let finished =
        house.greenroom(&["exec", "--json", "--repo", text(&repo), "--image", "python", "--", "sh", "-c", command]);
    let result = finished.lines().pop().unwrap_or_else(|| panic!("no result line: {finished}"));
    let trace = &result["report"]["traces"][0];
    assert_eq!((&trace["exception"], &trace["frames"][0]["function"]), (&"ZeroDivisionError".into(), &"half".into()));
    let told = trace["frames"][0]["locals"].as_object().cloned().unwrap_or_default();
    told.into_iter().map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned())).collect()
}

#[test]
fn locals_are_told_where_they_are_asked_for_and_by_no_child() {
    let Some(house) = House::open() else { return };
    assert_eq!(locals(&house, "python3 half.py"), []);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let asked = locals(&house, "GREENROOM_PYTHON_LOCALS=1 python3 half.py");
    assert_eq!(asked, [pair("number", "42"), pair("secret_token", "<hidden>")]);
    assert_eq!(locals(&house, "GREENROOM_PYTHON_LOCALS=1 python3 half.py child"), []);
    let environment = "python3 -m venv --without-pip /tmp/v && GREENROOM_PYTHON_LOCALS=1 /tmp/v/bin/python half.py";
    assert_eq!(locals(&house, environment), asked);
}
