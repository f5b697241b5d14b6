//! Writes a part of a made-up `title.basics.tsv` to standard output, for `scripts/bench`: `titles <rows> <part>`. Keys of
//! a part follow those of the part before it. No row is anyone's; the shape is that of film catalogs: mostly episodes,
//! words and genres by Zipf's law, many nulls. The same arguments give the same bytes on every machine.
#![allow(clippy::print_stderr, reason = "a program for people")]

use std::io::{self, BufWriter, Write};

/// Kinds of title and how many of ten thousand have each.
const TYPES: [(&str, u32); 12] = [
    ("tvEpisode", 7_600),
    ("short", 900),
    ("movie", 650),
    ("video", 270),
    ("tvSeries", 250),
    ("tvMovie", 130),
    ("tvMiniSeries", 60),
    ("tvSpecial", 50),
    ("videoGame", 40),
    ("tvShort", 25),
    ("podcastSeries", 15),
    ("tvPilot", 10),
];
/// The commonest first.
const GENRES: [&str; 28] = [
    "Drama",
    "Comedy",
    "Talk-Show",
    "Short",
    "Documentary",
    "News",
    "Romance",
    "Family",
    "Reality-TV",
    "Animation",
    "Crime",
    "Action",
    "Adventure",
    "Music",
    "Game-Show",
    "Adult",
    "Sport",
    "Fantasy",
    "Mystery",
    "Horror",
    "Thriller",
    "History",
    "Sci-Fi",
    "Biography",
    "Musical",
    "War",
    "Western",
    "Film-Noir",
];
const ONSETS: [&str; 20] =
    ["b", "z", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "br", "sh"];
const VOWELS: [&str; 10] = ["a", "e", "i", "o", "u", "ai", "ea", "ou", "y", "é"];
const CODAS: [&str; 8] = ["", "n", "r", "s", "l", "m", "nd", "v"];
/// Different words in titles.
const WORDS: usize = 30_000;

/// SplitMix64: small, and the same for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    fn below(&mut self, end: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u32
    }

    /// True so many times in a hundred.
    fn percent(&mut self, share: u32) -> bool {
        self.below(100) < share
    }

    /// A number that halves in frequency every `half` steps.
    fn falling(&mut self, half: u32) -> u32 {
        self.next().leading_zeros() * half + self.below(half)
    }
}

/// Draws from a list by Zipf's law: the nth is drawn in proportion to 1 / (n + 1).
struct Zipf(Vec<u64>);

impl Zipf {
    fn new(count: usize) -> Self {
        let mut sum = 0;
        Self(
            (1..=count as u64)
                .map(|rank| {
                    sum += (1 << 40) / rank;
                    sum
                })
                .collect(),
        )
    }

    fn draw(&self, random: &mut Random) -> usize {
        let total = self.0.last().copied().unwrap_or(1);
        let point = ((u128::from(random.next()) * u128::from(total)) >> 64) as u64;
        self.0.partition_point(|sum| *sum <= point)
    }
}

/// Made-up words, all different, the short ones first.
fn vocabulary() -> Vec<String> {
    let mut random = Random(1);
    let mut seen = std::collections::HashSet::new();
    let mut words = Vec::with_capacity(WORDS);
    while words.len() < WORDS {
        let mut word = String::new();
        for _ in 0..=(words.len().max(1).ilog2() / 6 + random.below(2)) {
            for part in [&ONSETS[..], &VOWELS[..], &CODAS[..]] {
                word.push_str(part[random.below(part.len() as u32) as usize]);
            }
        }
        let mut letters = word.chars();
        let word =
            letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default();
        if seen.insert(word.clone()) {
            words.push(word);
        }
    }
    words
}

struct Titles {
    random: Random,
    words: Vec<String>,
    by_rank: Zipf,
    genres: Zipf,
}

impl Titles {
    fn title(&mut self, into: &mut String) {
        into.clear();
        // One to six words, two and three most often.
        let count = 1 + self.random.below(3) + self.random.below(3) + u32::from(self.random.percent(10));
        for at in 0..count {
            if at > 0 {
                into.push(' ');
            }
            into.push_str(&self.words[self.by_rank.draw(&mut self.random)]);
        }
    }

    fn kind(&mut self) -> &'static str {
        let mut point = self.random.below(10_000);
        for (kind, share) in TYPES {
            match point.checked_sub(share) {
                Some(rest) => point = rest,
                None => return kind,
            }
        }
        TYPES[0].0
    }

    fn row(&mut self, key: u64, title: &mut String, other: &mut String, out: &mut impl Write) -> io::Result<()> {
        let kind = self.kind();
        let (episode, series) = (kind == "tvEpisode", kind.ends_with("Series"));
        if episode && self.random.percent(25) {
            let (season, number) = (1 + self.random.falling(2), 1 + self.random.falling(30));
            *title = format!("Episode #{season}.{number}");
        } else {
            self.title(title);
        }
        let translated = self.random.percent(8);
        if translated {
            self.title(other);
        }
        let original = if translated { &*other } else { &*title };
        write!(out, "tt{key:09}\t{kind}\t{title}\t{original}\t{}", u8::from(self.random.percent(3)))?;
        let start = (!self.random.percent(13)).then(|| 2026_u32.saturating_sub(self.random.falling(13)).max(1894));
        let end =
            start.filter(|_| series && self.random.percent(60)).map(|start| (start + self.random.falling(2)).min(2026));
        let runtime = (!self.random.percent(65)).then(|| match kind {
            "movie" | "tvMovie" => 60 + self.random.below(31) + self.random.below(31) + self.random.falling(4),
            "short" | "tvShort" => 1 + self.random.below(30),
            _ => [22, 30, 42, 45, 60, 10 + self.random.below(80)][self.random.below(6) as usize],
        });
        for number in [start, end, runtime] {
            match number {
                Some(number) => write!(out, "\t{number}")?,
                None => out.write_all(b"\t\\N")?,
            }
        }
        if self.random.percent(5) {
            return out.write_all(b"\t\\N\n");
        }
        let first = self.genres.draw(&mut self.random);
        write!(out, "\t{}", GENRES[first])?;
        let mut before = [first, first];
        for place in 0..self.random.below(3) as usize {
            let genre = self.genres.draw(&mut self.random);
            if !before.contains(&genre) {
                write!(out, ",{}", GENRES[genre])?;
                before[place] = genre;
            }
        }
        out.write_all(b"\n")
    }
}

fn main() -> io::Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|number| number.parse().ok()).collect();
    let [rows, part] = numbers[..] else {
        eprintln!("titles <rows> <part>");
        std::process::exit(2);
    };
    let mut titles = Titles {
        random: Random(part),
        words: vocabulary(),
        by_rank: Zipf::new(WORDS),
        genres: Zipf::new(GENRES.len()),
    };
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    out.write_all(
        b"tconst\ttitleType\tprimaryTitle\toriginalTitle\tisAdult\tstartYear\tendYear\truntimeMinutes\tgenres\n",
    )?;
    let (mut title, mut other, mut key) = (String::new(), String::new(), 2 * rows * part);
    for _ in 0..rows {
        // Some keys are missing, as upstream: absent ones can be asked for.
        key += 1 + u64::from(titles.random.percent(30)) * u64::from(1 + titles.random.below(5));
        titles.row(key, &mut title, &mut other, &mut out)?;
    }
    out.flush()
}
