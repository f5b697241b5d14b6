//! What people type, understood: `star wars`, `"a new hope"`, `-holiday`, `wook*`, `title:hope`, `ewok OR wookiee`.
//!
//! All words must occur; anything that is no syntax is just text, so that titles can be pasted.

use tantivy::{
    Term,
    query::{BooleanQuery, FuzzyTermQuery, Occur, PhrasePrefixQuery, PhraseQuery, Query, TermQuery},
    schema::{Field, IndexRecordOption},
};

use super::words;
use crate::{
    catalog::TableSchema,
    query::{
        SliceError,
        names::{self, NameFault},
    },
};

/// Characters of a question.
const LONGEST: usize = 1000;
/// Words of a question.
const WORDS: usize = 64;
/// Words a prefix at the end of a phrase stands for, most.
const EXPANSIONS: u32 = 1000;

/// A question about some columns of a table. All its clauses must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    clauses: Vec<Clause>,
}

/// One of these must hold, or none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Clause {
    without: bool,
    parts: Vec<Part>,
}

/// Words in a row, in one column or in any.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// Position among the columns that are searched.
    column: Option<usize>,
    words: Vec<String>,
    /// Whether the last word is only the beginning of one.
    prefix: bool,
}

fn fault(message: impl Into<String>) -> SliceError {
    SliceError::new("q", message)
}

impl Question {
    /// Understands a text. `searched`: positions of the columns that are searched.
    ///
    /// # Errors
    /// When it has no words, or is no question by the rules of the module; with what would be one.
    pub fn parse(text: &str, schema: &TableSchema, searched: &[usize]) -> Result<Self, SliceError> {
        if text.chars().count() > LONGEST {
            return Err(fault(format!("is longer than {LONGEST} characters")));
        }
        let mut clauses: Vec<Clause> = Vec::new();
        let mut or = false;
        for (without, item) in items(text)? {
            let (column, content, quoted, prefix) = match item {
                Item::Word(word) if word == "OR" || word == "|" => {
                    or = !clauses.is_empty();
                    continue;
                }
                Item::Word(word) if word == "AND" || word == "&" => continue,
                Item::Word(word) => {
                    let (column, word) = match column_of(&word, text, schema, searched)? {
                        Some((column, rest)) => (Some(column), rest),
                        None => (None, word),
                    };
                    let prefix = word.ends_with('*');
                    (column, word, false, prefix)
                }
                Item::Phrase(column, phrase) => {
                    let named =
                        column.map(|name| column_of(&format!("{name}:x"), text, schema, searched)).transpose()?;
                    (named.flatten().map(|(column, _)| column), phrase, true, false)
                }
            };
            let words = words::of(&content);
            if words.is_empty() {
                continue;
            }
            let part = Part { column, words, prefix: prefix && !quoted };
            match clauses.last_mut().filter(|last| or && !without && !last.without) {
                Some(last) => last.parts.push(part),
                None => clauses.push(Clause { without, parts: vec![part] }),
            }
            or = false;
        }
        let count: usize = clauses.iter().flat_map(|clause| &clause.parts).map(|part| part.words.len()).sum();
        if count > WORDS {
            return Err(fault(format!("has {count} words; {WORDS} are the most")));
        }
        match clauses.as_slice() {
            [] => Err(fault("has no words to look for: write some letters or digits")),
            all if all.iter().all(|clause| clause.without) => {
                Err(fault("says only what must not occur: add a word that must").instead(Some(text.replace('-', " "))))
            }
            _ => Ok(Self { clauses }),
        }
    }

    /// As the index understands it. `fields`: those of the columns that are searched.
    pub(super) fn query(&self, fields: &[Field]) -> Box<dyn Query> {
        let mut all: Vec<(Occur, Box<dyn Query>)> = self
            .clauses
            .iter()
            .map(|clause| {
                let occur = if clause.without { Occur::MustNot } else { Occur::Must };
                (occur, any(clause.parts.iter().flat_map(|part| part.queries(fields)).collect()))
            })
            .collect();
        match all.as_slice() {
            [(Occur::Must, _)] => all.remove(0).1,
            _ => Box::new(BooleanQuery::new(all)),
        }
    }
}

fn any(mut queries: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    if queries.len() == 1 { queries.remove(0) } else { Box::new(BooleanQuery::union(queries)) }
}

impl Part {
    /// One for each column.
    fn queries(&self, fields: &[Field]) -> Vec<Box<dyn Query>> {
        let wanted = fields.iter().enumerate().filter(|(at, _)| self.column.is_none_or(|column| column == *at));
        wanted.map(|(_, field)| self.query(*field)).collect()
    }

    fn query(&self, field: Field) -> Box<dyn Query> {
        let mut terms: Vec<Term> = self.words.iter().map(|word| Term::from_field_text(field, word)).collect();
        match (terms.len(), self.prefix) {
            (1, true) => Box::new(FuzzyTermQuery::new_prefix(terms.remove(0), 0, true)),
            (1, false) => Box::new(TermQuery::new(terms.remove(0), IndexRecordOption::WithFreqs)),
            (_, true) => {
                let mut query = PhrasePrefixQuery::new(terms);
                query.set_max_expansions(EXPANSIONS);
                Box::new(query)
            }
            (_, false) => Box::new(PhraseQuery::new(terms)),
        }
    }
}

enum Item {
    /// Up to a space or a quote.
    Word(String),
    /// Between quotes, with the name before them.
    Phrase(Option<String>, String),
}

/// Cuts a text at spaces and quotes; each piece with whether `-` stands before it.
fn items(text: &str) -> Result<Vec<(bool, Item)>, SliceError> {
    let mut items = Vec::new();
    let mut chars = text.chars().enumerate().peekable();
    while let Some((at, first)) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut without = false;
        let mut word = String::new();
        match first {
            '-' if chars.peek().is_some_and(|(_, next)| !next.is_whitespace()) => without = true,
            '"' => {
                items.push((false, Item::Phrase(None, phrase(&mut chars, text, at)?)));
                continue;
            }
            c => word.push(c),
        }
        loop {
            match chars.peek() {
                Some((at, '"')) => {
                    let at = *at;
                    chars.next();
                    let name = word.strip_suffix(':').filter(|name| !name.is_empty()).map(str::to_owned);
                    if name.is_none() && !word.is_empty() {
                        items.push((without, Item::Word(std::mem::take(&mut word))));
                    }
                    items.push((without, Item::Phrase(name, phrase(&mut chars, text, at)?)));
                    word.clear();
                    break;
                }
                Some((_, c)) if !c.is_whitespace() => {
                    word.push(*c);
                    chars.next();
                }
                _ => break,
            }
        }
        if !word.is_empty() {
            items.push((without, Item::Word(word)));
        }
    }
    Ok(items)
}

/// What stands up to the closing quote.
fn phrase(chars: &mut impl Iterator<Item = (usize, char)>, text: &str, at: usize) -> Result<String, SliceError> {
    let mut phrase = String::new();
    for (_, c) in chars {
        if c == '"' {
            return Ok(phrase);
        }
        phrase.push(c);
    }
    Err(fault(format!("a double quote is not closed (character {})", at + 1)).instead(Some(format!("{text}\""))))
}

/// The column that `name:rest` names, and the rest. Text with a colon in it is just text.
fn column_of(
    word: &str,
    text: &str,
    schema: &TableSchema,
    searched: &[usize],
) -> Result<Option<(usize, String)>, SliceError> {
    let Some((name, rest)) = word.split_once(':') else { return Ok(None) };
    if name.is_empty() || rest.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = searched.iter().filter_map(|at| Some(schema.columns.get(*at)?.name.as_str())).collect();
    match names::resolve_among(&names, name) {
        Ok(at) => Ok(Some((at, rest.to_owned()))),
        Err(_) if names::resolve(schema, name).is_ok() => Err(fault(format!(
            "column `{name}` is not searched; those that are: {}. Write `\"{word}\"` to look for the words",
            names.join(", ")
        ))
        .instead(Some(text.replacen(word, rest, 1)))),
        Err(NameFault::Unknown(Some(near))) if strsim::jaro_winkler(&near, &name.to_lowercase()) > 0.9 => Err(fault(
            format!("no searched column `{name}`; did you mean `{near}`? Write `\"{word}\"` to look for the words"),
        )
        .instead(Some(text.replacen(&format!("{name}:"), &format!("{near}:"), 1)))),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Column;

    fn parse(text: &str) -> Result<Vec<String>, String> {
        let column = |name: &str, search| Column { search, ..Column::new(name, "utf8".parse().expect("a type")) };
        let schema = TableSchema { columns: vec![column("id", false), column("title", true), column("summary", true)] };
        let question = Question::parse(text, &schema, &[1, 2]).map_err(|error| error.to_string())?;
        let part = |part: &Part| {
            let column = part.column.map_or_else(String::new, |at| format!("{at}:"));
            format!("{column}{}{}", part.words.join("_"), if part.prefix { "*" } else { "" })
        };
        let clause = |clause: &Clause| {
            let parts: Vec<String> = clause.parts.iter().map(part).collect();
            format!("{}{}", if clause.without { "-" } else { "" }, parts.join("|"))
        };
        Ok(question.clauses.iter().map(clause).collect())
    }

    fn understood(text: &str, expected: &[&str]) {
        assert_eq!(parse(text).expect(text), expected, "{text}");
    }

    #[test]
    fn questions_are_understood_as_people_mean_them() {
        understood("Star  Wars", &["star", "wars"]);
        understood("\"a new hope\" star", &["a_new_hope", "star"]);
        understood("spider-man -holiday", &["spider_man", "-holiday"]);
        understood("wook* - x", &["wook*", "x"]);
        understood("title:hope summary:\"far away\"", &["0:hope", "1:far_away"]);
        understood("-title:\"far away\" x TITLE:y*", &["-0:far_away", "x", "0:y*"]);
        understood("a OR b c OR \"d e\"", &["a|b", "c|d_e"]);
        understood("ROMEO AND Juliet | x", &["romeo", "juliet|x"]);
        understood("OR x OR", &["x"]);
        understood("a OR -b", &["a", "-b"]);
        understood("Mission: Impossible 3:10 http://x.org", &["mission", "impossible", "3_10", "http_x_org"]);
        understood("don't (a|b) & ... c++", &["don_t", "a_b", "c"]);
        understood("東京", &["東_京"]);
        understood("a\"b c\"d", &["a", "b_c", "d"]);
    }

    #[test]
    fn what_is_no_question_is_told_what_would_be() {
        for text in
            ["", "  ", "...", "-a", "-a -b", "\"open", "x \"", "id:7", "titel:x", &"x ".repeat(400), &"a ".repeat(70)]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("a \"b").expect_err("open"), "q: a double quote is not closed (character 3)");
        assert!(parse("titel:x").expect_err("near").contains("did you mean `title`"));
        assert!(parse("id:x").expect_err("not searched").contains("title, summary"));
    }
}
