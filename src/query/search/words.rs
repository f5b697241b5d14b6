//! How text becomes words: letters and digits, lower case, without accents; scripts that put no space between words are
//! searched character by character (several in a row form a phrase).

use tantivy::tokenizer::{
    AsciiFoldingFilter, LowerCaser, RemoveLongFilter, TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager,
};

/// Its name in the index's schema.
pub(super) const NAME: &str = "words";
/// Bytes of a word; longer ones are no words.
const LONGEST: usize = 200;

/// The analyzer.
pub(super) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(Words::default())
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(RemoveLongFilter::limit(LONGEST))
        .build()
}

/// The analyzer under its name.
pub(super) fn manager() -> TokenizerManager {
    // Fields that are no text ask for the tokenizer that is there by default.
    let manager = TokenizerManager::default();
    manager.register(NAME, analyzer());
    manager
}

/// The words of a text.
pub(super) fn of(text: &str) -> Vec<String> {
    let mut analyzer = analyzer();
    let mut stream = analyzer.token_stream(text);
    let mut words = Vec::new();
    while let Some(token) = stream.next() {
        words.push(token.text.clone());
    }
    words
}

#[derive(Debug, Clone, Default)]
struct Words {
    token: Token,
}

#[derive(Debug)]
struct WordStream<'a> {
    rest: std::iter::Peekable<std::str::CharIndices<'a>>,
    token: &'a mut Token,
}

/// Scripts without spaces between words: Han, kana, Thai, Lao, Khmer, Burmese.
fn stands_alone(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x31F0..=0x31FF | 0x3400..=0x4DBF
        | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF)
}

/// Accents that are characters of their own: they belong to the word, and are no letters.
fn is_accent(c: char) -> bool {
    matches!(u32::from(c), 0x0300..=0x036F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF | 0xFE20..=0xFE2F)
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { rest: text.char_indices().peekable(), token: &mut self.token }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        self.token.text.clear();
        self.token.position = self.token.position.wrapping_add(1);
        while let Some((at, first)) = self.rest.next() {
            if !first.is_alphanumeric() {
                continue;
            }
            self.token.text.push(first);
            self.token.offset_from = at;
            self.token.offset_to = at + first.len_utf8();
            if stands_alone(first) {
                return true;
            }
            while let Some((at, c)) =
                self.rest.next_if(|(_, c)| is_accent(*c) || (c.is_alphanumeric() && !stands_alone(*c)))
            {
                if !is_accent(c) {
                    self.token.text.push(c);
                }
                self.token.offset_to = at + c.len_utf8();
            }
            return true;
        }
        false
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_scripts() {
        assert_eq!(of("The Éclair's  Über-Straße, 1984!"), ["the", "eclair", "s", "uber", "strasse", "1984"]);
        assert_eq!(of("re\u{301}sume\u{301}"), ["resume"]);
        assert_eq!(of("東京タワー Tokyo"), ["東", "京", "タ", "ワ", "ー", "tokyo"]);
        assert_eq!(of("Москва ΑΘΗΝΑ"), ["москва", "αθηνα"]);
        assert_eq!(of("  --- \u{301} "), Vec::<String>::new());
        assert_eq!(of(&"x".repeat(300)), Vec::<String>::new());
    }
}
