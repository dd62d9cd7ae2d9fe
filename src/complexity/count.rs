//! Cyclomatic (McCabe 1976) and cognitive complexity (SonarSource 2018), by one walk over a tree.

use tree_sitter::{Node, Parser};

use super::language::{Kinds, Language};
use crate::score::Function;

/// Deeper than people write; a file beyond it is not measured.
const DEPTH_MAX: u32 = 1_000;
const FUNCTIONS_MAX: usize = 5_000;
/// What stands outside of every function.
const TOP_LEVEL: &str = "(top level)";

/// The functions of a text in their order, and its top level where that decides anything. `None` for a text that does
/// not parse or that is nested beyond reason.
pub fn functions(language: Language, text: &str) -> Option<Vec<Function>> {
    let mut parser = Parser::new();
    parser.set_language(&language.grammar()).ok()?;
    let tree = parser.parse(text, None)?;
    let root = tree.root_node();
    if root.has_error() {
        return None;
    }
    let mut walk = Walk { kinds: language.kinds(), text, found: Vec::new(), scope: Vec::new(), depth: 0 };
    let mut top = Count::default();
    walk.children(root, 0, Within::Nothing, &mut top)?;
    let mut found = walk.found;
    if top.decisions > 0 || top.cognitive > 0 {
        // Functions are compared by their own text, the top level by what it counts.
        let hash = format!("{} {}", top.decisions, top.cognitive);
        let (name, cognitive) = (TOP_LEVEL.to_owned(), top.cognitive);
        found.push(Function { name, line: 1, end_line: 1, cyclomatic: top.decisions + 1, cognitive, hash });
    }
    Some(found)
}

/// What a node stands in: a function in a function counts into the outer one.
#[derive(Clone, Copy)]
enum Within {
    Nothing,
    Function,
}

#[derive(Default)]
struct Count {
    decisions: u32,
    cognitive: u32,
}

struct Walk<'a> {
    kinds: &'static Kinds,
    text: &'a str,
    found: Vec<Function>,
    scope: Vec<String>,
    depth: u32,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, node: Node<'a>, nesting: u32, inside: Within, count: &mut Count) -> Option<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        self.node(node, nesting, inside, count)?;
        self.depth -= 1;
        Some(())
    }

    fn node(&mut self, node: Node<'a>, nesting: u32, inside: Within, count: &mut Count) -> Option<()> {
        let (kinds, kind) = (self.kinds, node.kind());
        if !node.is_named() {
            return Some(());
        }
        let is = |list: &[&str]| list.contains(&kind);
        if is(kinds.functions) || is(kinds.closures) {
            let named = is(kinds.functions) || self.bound_name(node).is_some();
            return match inside {
                Within::Nothing if named => self.function(node),
                // It counts into what it stands in, one level deeper.
                Within::Function | Within::Nothing => self.children(node, nesting + 1, inside, count),
            };
        }
        if is(kinds.scopes) {
            let name = self.field(node, "name").or_else(|| self.field(node, "type")).unwrap_or_default();
            self.scope.push(name);
            self.children(node, nesting, inside, count)?;
            self.scope.pop();
            return Some(());
        }
        if is(kinds.ifs) {
            return self.branch(node, nesting, inside, false, count);
        }
        if operator(node, self.text).is_some() {
            return self.logic(node, nesting, inside, count);
        }
        if is(kinds.loops) || is(kinds.catches) || is(kinds.ternaries) {
            count.decisions += 1;
            count.cognitive += 1 + nesting;
            return self.parts(node, nesting, inside, count);
        }
        if is(kinds.switches) {
            count.cognitive += 1 + nesting;
            return self.parts(node, nesting, inside, count);
        }
        if is(kinds.cases) && !is_default(node, self.text) {
            count.decisions += 1;
        }
        if is(kinds.quiet) {
            count.decisions += 1;
        }
        // A jump to a label breaks the flow; one out of the nearest loop is part of it.
        if is(kinds.jumps) && (kind == "goto_statement" || has_label(node)) {
            count.cognitive += 1;
        }
        // `let … else` and chains of conditions with `let`.
        if kind == "let_declaration" && node.child_by_field_name("alternative").is_some() {
            count.decisions += 1;
            count.cognitive += 1 + nesting;
        }
        if kind == "let_chain" {
            let ands = (0..node.child_count()).filter(|at| node.child(*at).is_some_and(|c| c.kind() == "&&"));
            count.decisions += ands.count() as u32;
            count.cognitive += 1;
        }
        self.children(node, nesting, inside, count)
    }

    fn children(&mut self, node: Node<'a>, nesting: u32, inside: Within, count: &mut Count) -> Option<()> {
        let mut cursor = node.walk();
        let children: Vec<Node<'a>> = node.named_children(&mut cursor).collect();
        children.into_iter().try_for_each(|child| self.visit(child, nesting, inside, count))
    }

    /// What is asked stays at this level, what is done is one deeper.
    fn parts(&mut self, node: Node<'a>, nesting: u32, inside: Within, count: &mut Count) -> Option<()> {
        const ASKED: [&str; 9] =
            ["condition", "value", "subject", "left", "right", "initializer", "increment", "update", "pattern"];
        for at in 0..node.child_count() {
            let Some(child) = node.child(at).filter(Node::is_named) else { continue };
            let asked = node.field_name_for_child(at).is_some_and(|field| ASKED.contains(&field));
            self.visit(child, if asked { nesting } else { nesting + 1 }, inside, count)?;
        }
        Some(())
    }

    fn branch(
        &mut self,
        node: Node<'a>,
        nesting: u32,
        inside: Within,
        is_else_if: bool,
        count: &mut Count,
    ) -> Option<()> {
        count.decisions += 1;
        count.cognitive += if is_else_if { 1 } else { 1 + nesting };
        for at in 0..node.child_count() {
            let Some(child) = node.child(at).filter(Node::is_named) else { continue };
            let field = node.field_name_for_child(at);
            match (field, child.kind()) {
                (Some("condition" | "initializer" | "value"), _) => self.visit(child, nesting, inside, count)?,
                (_, "elif_clause") => {
                    count.decisions += 1;
                    count.cognitive += 1;
                    self.parts(child, nesting, inside, count)?;
                }
                (_, "else_clause") => {
                    let mut cursor = child.walk();
                    let below: Vec<Node<'a>> = child.named_children(&mut cursor).collect();
                    let real = |node: &&Node<'a>| !node.is_extra();
                    match below.iter().find(real).filter(|only| self.kinds.ifs.contains(&only.kind())) {
                        Some(only) => self.deeper_branch(*only, nesting, inside, count)?,
                        None => {
                            count.cognitive += 1;
                            self.children(child, nesting + 1, inside, count)?;
                        }
                    }
                }
                (Some("alternative"), kind) if self.kinds.ifs.contains(&kind) => {
                    self.deeper_branch(child, nesting, inside, count)?;
                }
                (Some("alternative"), _) => {
                    count.cognitive += 1;
                    self.visit(child, nesting + 1, inside, count)?;
                }
                (_, _) => self.visit(child, nesting + 1, inside, count)?,
            }
        }
        Some(())
    }

    fn deeper_branch(&mut self, node: Node<'a>, nesting: u32, inside: Within, count: &mut Count) -> Option<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        self.branch(node, nesting, inside, true, count)?;
        self.depth -= 1;
        Some(())
    }

    /// Each operator is a decision; each run of equal ones is one thing to understand.
    fn logic(&mut self, node: Node<'a>, nesting: u32, inside: Within, count: &mut Count) -> Option<()> {
        let mut operators: Vec<&str> = Vec::new();
        let mut operands: Vec<Node<'a>> = Vec::new();
        // In order, without recursion: chains are long where machines write them.
        let mut waiting = vec![Err(node)];
        while let Some(next) = waiting.pop() {
            match next {
                Ok(operator) => operators.push(operator),
                Err(node) => match operator(node, self.text) {
                    Some(operator) => {
                        let side = |name| node.child_by_field_name(name);
                        waiting.extend(side("right").map(Err));
                        waiting.push(Ok(operator));
                        waiting.extend(side("left").map(Err));
                    }
                    None => operands.push(node),
                },
            }
        }
        count.decisions += operators.len() as u32;
        let changes = operators.windows(2).filter(|pair| pair[0] != pair[1]).count();
        count.cognitive += 1 + changes as u32;
        operands.into_iter().try_for_each(|operand| self.visit(operand, nesting, inside, count))
    }

    fn function(&mut self, node: Node<'a>) -> Option<()> {
        if self.found.len() >= FUNCTIONS_MAX {
            return None;
        }
        let mut count = Count::default();
        let at = self.found.len();
        self.children(node, 0, Within::Function, &mut count)?;
        let own = self.name(node);
        let text = &self.text[node.byte_range()];
        self.found.insert(
            at,
            Function {
                name: self.scope.iter().map(String::as_str).chain([own.as_str()]).collect::<Vec<_>>().join("."),
                line: node.start_position().row as u32 + 1,
                end_line: node.end_position().row as u32 + 1,
                cyclomatic: count.decisions + 1,
                cognitive: count.cognitive,
                hash: blake3::hash(text.as_bytes()).to_hex()[..16].to_owned(),
            },
        );
        Some(())
    }

    fn field(&self, node: Node<'_>, field: &str) -> Option<String> {
        const CHARS_MAX: usize = 120;
        let text = &self.text[node.child_by_field_name(field)?.byte_range()];
        Some(text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(CHARS_MAX).collect())
    }

    fn name(&self, node: Node<'_>) -> String {
        if let Some(name) = self.field(node, "name") {
            let receiver = self.field(node, "receiver").unwrap_or_default();
            let receiver = receiver.trim_matches(['(', ')']).rsplit([' ', '*']).next().unwrap_or_default().to_owned();
            return if receiver.is_empty() { name } else { format!("{receiver}.{name}") };
        }
        // C's names stand inside what they declare.
        let mut declarator = node.child_by_field_name("declarator");
        while let Some(inner) = declarator {
            match inner.child_by_field_name("declarator") {
                Some(deeper) => declarator = Some(deeper),
                None => return self.text[inner.byte_range()].to_owned(),
            }
        }
        self.bound_name(node).unwrap_or_else(|| "(anonymous)".to_owned())
    }

    /// `const total = () => …`, `exports.total = function …`, `total: () => …`.
    fn bound_name(&self, node: Node<'_>) -> Option<String> {
        let parent = node.parent()?;
        match parent.kind() {
            "variable_declarator" | "public_field_definition" => self.field(parent, "name"),
            "field_definition" => self.field(parent, "property"),
            "assignment_expression" => self.field(parent, "left"),
            "pair" => self.field(parent, "key"),
            _ => None,
        }
    }
}

/// `&&`, `||` and `??`, `and` and `or`.
fn operator<'t>(node: Node<'_>, text: &'t str) -> Option<&'t str> {
    if !matches!(node.kind(), "binary_expression" | "boolean_operator") {
        return None;
    }
    let operator = &text[node.child_by_field_name("operator")?.byte_range()];
    matches!(operator, "&&" | "||" | "??" | "and" | "or").then_some(operator)
}

/// `default:`, `_ =>`, `case _:`.
fn is_default(node: Node<'_>, text: &str) -> bool {
    let label = text[node.byte_range()].trim_start();
    let label = label.strip_prefix("case").map_or(label, str::trim_start);
    let rest = label.strip_prefix("default").or_else(|| label.strip_prefix('_'));
    rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
}

fn has_label(node: Node<'_>) -> bool {
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .any(|child| matches!(child.kind(), "label" | "label_name" | "statement_identifier"))
        || (matches!(node.kind(), "break_statement" | "continue_statement")
            && node.named_children(&mut node.walk()).any(|child| child.kind() == "identifier"))
}
