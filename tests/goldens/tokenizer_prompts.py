"""Prompts that a CLIP tokenizer gets wrong in some implementation or other."""

PROMPTS = [
    # plain
    "", " ", "a", "A", "a red cube on top of a blue sphere", "a photo of a cat, 4k", "Trending on ArtStation",
    "an oil painting of an astronaut riding a horse on the moon in the style of Van Gogh",
    "a small shiny green cone on grass", "hello world", "supercalifragilisticexpialidocious",
    # "!" may be the padding token, which splits it out wherever it stands
    "!", "!!", "!!!", "! !", "a!", "!a", "a!b", "wow!!wow", "a ! b !! c", "?!", "!?", "a red cube!", "!\u0301",
    # contractions, in both cases, with both apostrophes
    "it's", "IT'S", "they're we've I'm you'll he'd don't", "dogs' tails", "'s", "''s", "s's's", "'tis", "rock 'n' roll",
    "it\u2019s a dog\u2019s life", "'d've", "it'\u017f", "he'LL", "o'clock",
    # punctuation and symbols
    "hello, world.", "...", "a...b", "a-b_c", "(a) [b] {c}", "\"quoted\"", "a/b\\c", "100%", "$5.99", "a+b=c", "#tag @name",
    "e-mail: a.b@c.de", "https://example.org/?q=1&r=2#x", "a & b &amp; c &lt;d&gt;", "«guillemets»", "—dash—", "a…b", "© ® ™",
    "x² + y³ = ½", "50 °C", "€10 £20 ¥30", "1,000,000", "3.14159", "a1b2c3", "2023-11-23",
    # digits of other scripts, roman numerals, fractions
    "٣٤٥", "१२३", "Ⅳ Ⅷ ⅷ", "①②③", "¾ cup", "𝟘𝟙𝟚", "一二三",
    # accents: composed, decomposed, stacked; NFC joins them, nothing strips them
    "café", "cafe\u0301", "CAFÉ", "CAFE\u0301", "naïve façade", "Zürich Ärger ÖL", "Å \u212b A\u030a", "ệ e\u0323\u0302 e\u0302\u0323",
    "ﬁne ﬂow", "\u1e9e ß STRASSE", "n\u0303 N\u0303", "a\u0301\u0301\u0301b", "\u0301 alone", "क्षि नमस्ते", "한국어 \u1112\u1161\u11ab", "प्रकाश",
    # letter case with a story: dotted I, final sigma, titlecase, Kelvin, Georgian, Cherokee, Deseret
    "İSTANBUL", "ISPARTA ı", "ΟΔΥΣΣΕΥΣ", "Σ ΑΣ ΑΣ. ΑΣΑ", "ΑΣ'", "ǅ ǈ ǋ ǲ", "\u212a elvin \u2126 ohm", "ᲐᲑᲒ აბგ", "Ꭰ ꭰ", "𐐀𐐨", "Ａ Ｂ ａ", "ŉ ŉA", "ΐ ΰ",
    # CJK: each character stands alone
    "東京", "東京の夜景", "a東b京c", "你好，世界！", "カタカナ ひらがな", "𠀋𠮷", "豈 更", "㐀㐁", "〇 々", "中 文", "ㄅㄆㄇ",
    # emoji, joiners, variation selectors, flags, skin tones
    "🎨", "a 🎨 b", "👨\u200d👩\u200d👧", "❤\ufe0f", "🇩🇪🇯🇵", "👍🏽", "🎨🎨🎨", "cat🐱dog🐶", "1\ufe0f\u20e3",
    # other scripts
    "Привет, мир", "ПРИВЕТ", "שלום עולם", "مرحبا بالعالم", "สวัสดีชาวโลก", "Γειά σου Κόσμε", "Հայաստան", "ខ្មែរ",
    # white space kinds
    "a  b", "a\tb", "a\nb", "a\r\nb", "  lead and trail  ", "a\u00a0b", "a\u3000b", "a\u2003b\u2009c", "a\u2028b\u2029c", "a\u1680b", "a\u202fb", "a\u205fb",
    # control and format characters, most of which vanish
    "a\u0001b", "a\u000bb", "a\u000cb", "a\u001cb", "a\u0085b", "a\u007fb", "a\u00adb", "a\u200bb", "a\u200db", "a\ufeffb", "\u202eabc\u202c", "a\ufffdb", "a\u2060b",
    "\ue000 private", "a\U000e0041b", "\U00010ffff x", "\u0378 unassigned", "a\u180eb",
    # the special tokens, typed
    "<|endoftext|>", "<|startoftext|>", "a<|endoftext|>b", "a <|endoftext|> b", "<|ENDOFTEXT|>", "<|EndOfText|>x", "<|endoftext", "endoftext|>", "<|endoftext|><|endoftext|>",
    "<|startoftext|> a cat <|endoftext|>", "<| endoftext |>", "<|endoftext|>!<|endoftext|>", "<|pad|>", "</w>", "a</w> b",
    # long
    "a " * 200, "word " * 21 + "end", "x" * 300, "ab" * 40, "!" * 100, "東" * 90, "🎨" * 30,
    "an oil painting of an astronaut riding a horse on the moon , highly detailed , trending on artstation , " * 4,
    "the quick brown fox jumps over the lazy dog " * 12 + "<|endoftext|>", "red cube " * 11, "red cube " * 10 + "red", "red cube " * 15, "a " * 74 + "!", "a " * 75, "a " * 76,
]
