//! Names as we write them.

/// snake_case: words in lower case with `_` between them, beginning with a letter. Empty if the name has neither letters nor
/// digits.
pub(super) fn snake_case(name: &str) -> String {
    let mut out = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (at, c) in chars.iter().enumerate() {
        if !c.is_alphabetic() && !c.is_ascii_digit() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        // `startYear`, and the last letter of an abbreviation: `HTTPStatus`.
        let begins_word = c.is_uppercase()
            && (before.is_some_and(|c| c.is_lowercase() || c.is_ascii_digit())
                || (before.is_some_and(|c| c.is_uppercase()) && after.is_some_and(|c| c.is_lowercase())));
        if begins_word && !out.ends_with('_') && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    let out = out.trim_end_matches('_');
    if out.chars().next().is_some_and(|c| c.is_ascii_digit()) { format!("c_{out}") } else { out.to_owned() }
}

/// Each name in snake_case, made unique.
pub(super) fn unique(names: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let mut plain = snake_case(name);
        if plain.is_empty() {
            plain = format!("column_{}", at + 1);
        }
        let plain: String = plain.chars().take(200).collect();
        let mut name = plain.clone();
        let mut copy = 2;
        while out.contains(&name) {
            name = format!("{plain}_{copy}");
            copy += 1;
        }
        out.push(name);
    }
    out
}

/// A table's name out of anything.
pub(super) fn table(name: &str) -> String {
    let ascii: String = snake_case(name).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let name: String = ascii.trim_matches('_').chars().take(100).collect();
    match name.chars().next() {
        None => "rows".to_owned(),
        Some(c) if c.is_ascii_lowercase() => name,
        Some(_) => format!("t_{name}").chars().take(100).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (name, wanted) in [
            ("startYear", "start_year"),
            ("HTTPStatus", "http_status"),
            ("FL_DATE", "fl_date"),
            ("Größe (m²)", "größe_m"),
            ("@id", "id"),
            ("2020", "c_2020"),
            ("a  b", "a_b"),
            ("$key", "key"),
            ("x1Y", "x1_y"),
            ("??", ""),
        ] {
            assert_eq!(snake_case(name), wanted, "{name}");
        }
        let names = |names: &[&str]| unique(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["a", "A", "", "@a"]), ["a", "a_2", "column_3", "a_3"]);
        assert_eq!(
            (table("title.basics"), table("2020"), table("日本")),
            ("title_basics".into(), "c_2020".into(), "rows".into())
        );
    }
}
