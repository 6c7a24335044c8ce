"""Texts for comparing tokenizers: deterministic, made here, nothing downloaded."""
import random

SCRIPTS = {
    "latin": "The quick brown fox jumps over the lazy dog. Voilà, naïve façade, Ærøskøbing, Straße, İstanbul, ıspanak.",
    "polish": "Zażółć gęślą jaźń, pchnąć w tę łódź jeża lub ośm skrzyń fig.",
    "vietnamese": "Tiếng Việt có rất nhiều dấu: ề ổ ữ ặ ẫ ỵ.",
    "greek": "Ο καιρός ήταν ΚΑΛΟΣ, ὦ ἄνδρες Ἀθηναῖοι· σίγμα τελικό ς.",
    "cyrillic": "Съешь ещё этих мягких французских булок, да выпей чаю. Ќирилица, Ӂ, Ѷ.",
    "armenian": "Բարեւ աշխարհ, ինչպե՞ս ես։",
    "georgian": "გამარჯობა მსოფლიო, ᲒᲐᲛᲐᲠᲯᲝᲑᲐ.",
    "hebrew": "שָׁלוֹם עולם, מה שלומך?",
    "arabic": "مرحبا بالعالم، كيف حالك؟ ١٢٣٤ لَا إِلَٰهَ",
    "persian": "می‌خواهم به کتابخانه بروم ۱۲۳۴",
    "syriac": "ܫܠܡܐ ܥܠܡܐ", "thaana": "ދުނިޔެ", "nko": "ߒߞߏ ߁߂߃",
    "devanagari": "नमस्ते दुनिया, क्षत्रिय ज़िन्दगी १२३।", "bengali": "ওহে বিশ্ব, ক্ষমা ড় ঢ় য় ৳১২৩",
    "gurmukhi": "ਸਤ ਸ੍ਰੀ ਅਕਾਲ ੧੨੩", "gujarati": "નમસ્તે વિશ્વ", "oriya": "ନମସ୍କାର ବିଶ୍ୱ", "tamil": "வணக்கம் உலகம் ௌ",
    "telugu": "హలో ప్రపంచం", "kannada": "ಹಲೋ ವಿಶ್ವ ೌ", "malayalam": "ഹലോ വേൾഡ്", "sinhala": "ආයුබෝවන් ලෝකය",
    "thai": "สวัสดีชาวโลก น้ำ กรุงเทพฯ ๑๒๓", "lao": "ສະບາຍດີຊາວໂລກ", "tibetan": "བཀྲ་ཤིས་བདེ་ལེགས། ༄༅", "burmese": "မင်္ဂလာပါ ကမ္ဘာ",
    "khmer": "សួស្តីពិភពលោក", "mongolian": "ᠰᠠᠢᠨ ᠪᠠᠶᠢᠨ᠎ᠠ", "ethiopic": "ሰላም ልዑል ፩፪፫", "cherokee": "ᎣᏏᏲ ᎡᎶᎯ ꭰꭱ",
    "hangul": "안녕하세요 세계, 대한민국 값 뷁 \u1112\u1161\u11ab\u1100\u116e\u11a8", "chinese": "你好，世界！我们在学习自然语言处理。一二三〇",
    "chinese_rare": "𠀀𠀁𪚥𫝀𰀀𱍐 丽 \U0002F800", "japanese": "こんにちは世界。カタカナ、ｶﾀｶﾅ、がぎぐ か\u3099き\u3099 ㍿ ㈱",
    "yi": "ꆈꌠꉙ", "tifinagh": "ⵜⴰⵎⴰⵣⵉⵖⵜ", "gothic": "𐌲𐌿𐍄𐌰𐌽𐍃", "deseret": "𐐔𐐯𐑅𐐨𐑉𐐯𐐻", "cuneiform": "𒀀𒀁𒁀", "hieroglyphs": "𓀀𓁐𓂀",
    "math": "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, 𝔸𝕓𝒞 𝟙𝟚𝟛 ½ ⅓ ² ₃ Ⅳ ⅷ ① ㉑ ﬁ ﬀ Å Å Ω", "currency": "€100 £20 ¥3,000 ₿0.5 ₹99 $1,234.56",
    "rtl_mix": "abc \u200fשלום\u200e def \u202bمرحبا\u202c", "fullwidth": "Ｈｅｌｌｏ　Ｗｏｒｌｄ！１２３", "ligatures": "ﬃ ﬄ ﬅ Ǆ ǅ ǆ Ŀ ŉ",
}
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷🇯🇵", "❤️‍🔥", "☺️", "1️⃣#️⃣", "🧑🏿‍🚀", "🫠🫨🩷", "⌚⏰", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "a😀b 😀😀 ,😀",
         "🧜‍♀️🧜‍♂️", "\u200d👍", "🕵🏻‍♂️x", "🤝🏼🤝", "👩‍❤️‍💋‍👨"]
CODE = [
    "def f(x: int) -> int:\n    return x ** 2  # square\n\n\nclass A(B):\n\tpass\n",
    "for (int i = 0; i < n; ++i) {\n    a[i] += b[i] * 3.14e-10f;\n}\n",
    "SELECT * FROM t WHERE a = 'it''s' AND b IS NOT NULL;\n", "<div class=\"a b\">&nbsp;<br/></div>\r\n\r\n",
    "{\"key\": [1, 2, 3.0e5, null, true], \"ключ\": \"значение\"}", "#!/bin/sh\nset -e\necho \"${HOME}/$1\" | sed 's/a/b/g' >&2\n",
    "x=1;y=2;;z===3!==4&&5||~6^7%8\\9", "https://example.com/a/b?c=d&e=%20f#g user@host.org", "```cpp\nint main() { return 0; }\n```",
    "I'm, you're, he'LL, we'VE, they'd, it'S, o'clock, 'tis, x'ſ, '  's 't 'RE", "snake_case camelCase PascalCase SCREAMING_CASE kebab-case HTMLParser2",
    "1 12 123 1234 12345 1.5 1,000,000 0x1F 1e-5 ٣٤٥ १२ 五 Ⅻ ²", "/usr/local/bin/../lib//x.so.6", "a\\nb\\t\"c\" \\u00e9 \\x00",
]
SPACES = [" ", "  ", "   a", "a   ", "a  b", "\n", "\n\n", " \n", "\n ", "\r\n", "\r\r\n\n", "\t\t", "\t a\t b", "a\n\n\n b", "a \n \n b", "   \n   \n   ",
          "a\u00a0b", "\u00a0\u00a0a", "\u3000\u3000全角", "a\u2003b\u2009c", "\u2028a\u2029b", "\u0085x", "\x0b\x0c", "a\u200bb", "\ufeffa", " \u3000 \n x",
          "x" + " " * 100 + "y", "\n" * 50 + "end", " \t" * 30, "a" + "\n " * 20 + "b", "\u180e a\u180e"]
CONTROLS = ["\x00", "a\x00b", "\x01\x02\x03", "\x1b[31mred\x1b[0m", "\x7f\x80\x9f", "\u200e\u200f\u202a", "\ufffe\uffff", "\U000e0001\U000e007f", "\ufffd\ufffd a",
            "\U0010ffff", "\ue000\uf8ff", "\U000f0000", "\x08\x0e\x1f"]
MARKS = ["e\u0301", "e\u0323\u0302", "e\u0302\u0323", "a\u0315\u0300\u05ae\u0301b", "\u0301", "\u0301\u0301\u0301a", "q\u0307\u0323", "\u1100\u1161\u11a8", "\uac00\u11a8",
         "\u0958", "\u0929\u093c", "\u212b\u2126\u212a", "\u0344\u0345", "a\u035c\u0315\u0300\u1dce\u0334b", "Z" + "\u0300\u0323" * 20, "\u09c7\u09be", "\u0b47\u0b3e",
         "\u0dd9\u0dcf\u0dca", "\u11935\u11930", "\U00011935\U00011930", "\U00011099\U000110ba", "\u0898\u0334", "\u1ac5\u0334\u0301", "\ufb1d\ufb2a", "ﾀﾞ", "ｶﾞ"]
SPECIALS = ["<|im_start|>user\nhi<|im_end|>\n", "a<|endoftext|>b", " <|endoftext|> ", "<|endoftext|><|endoftext|>", "<|endoftext", "<<|endoftext|>>", "<think>\nx\n</think>\n\n",
            "x<tool_call>{\"a\":1}</tool_call>", "<s>", "</s>", "<s> a </s> b", "<unk>", "<unk><unk>", "<0x0A>", "[X]a[X] b [X]", "word[W]", "[W]word", " [W] ", "[W]", "[W][W]",
            "a  [L]  b", "a  [R]  b", "a \n[LR]\n b", "[L][R][LR]", "  [L] [R]  ", "[N] [n] É[N]é", "<|begin_of_text|>x", "ÀB[Ṩ]àb[ṩ]", "[s] [S\u0307\u0323]", "[R] [L]", "[R]   ", "   [L]"]


def fixed_texts():
    texts = [""] + list(SCRIPTS.values()) + EMOJI + CODE + SPACES + CONTROLS + MARKS + SPECIALS
    for text in SCRIPTS.values():
        texts += [" " + text, text.upper(), text.lower() + "\n", text.replace(" ", "  "), text[::-1]]
    names = sorted(SCRIPTS)
    for i, name in enumerate(names):
        other = SCRIPTS[names[(i * 7 + 3) % len(names)]]
        texts.append(SCRIPTS[name][:20] + other[:20] + EMOJI[i % len(EMOJI)] + SPACES[i % len(SPACES)] + CODE[i % len(CODE)][:40])
        texts.append("\n".join([SCRIPTS[name], "", other, "  " + EMOJI[(i + 5) % len(EMOJI)]]))
    return texts


RANGES = [(0x20, 0x7E, 30), (0x20, 0x20, 10), (0x0A, 0x0D, 3), (0x00, 0xFF, 8), (0x100, 0x24F, 5), (0x300, 0x36F, 5), (0x370, 0x52F, 4), (0x590, 0x6FF, 4), (0x900, 0xDFF, 6),
          (0xE00, 0x10FF, 4), (0x1100, 0x11FF, 2), (0x1AB0, 0x1AFF, 1), (0x1DC0, 0x1DFF, 1), (0x1E00, 0x1FFF, 3), (0x2000, 0x206F, 4), (0x2070, 0x2BFF, 4), (0x2C00, 0x2FFF, 1), (0x3000, 0x30FF, 4),
          (0x3100, 0x33FF, 2), (0x4E00, 0x9FFF, 5), (0xA000, 0xABFF, 2), (0xAC00, 0xD7A3, 3), (0xE000, 0xF8FF, 1), (0xF900, 0xFAFF, 2), (0xFB00, 0xFFFF, 3), (0x10000, 0x10FFF, 3),
          (0x11000, 0x11FFF, 4), (0x12000, 0x16FFF, 1), (0x17000, 0x1CFFF, 1), (0x1D000, 0x1DFFF, 2), (0x1E000, 0x1EFFF, 1), (0x1F000, 0x1FAFF, 4), (0x20000, 0x323AF, 1), (0x10000, 0x10FFFF, 1)]


def random_texts(count, seed, pieces=()):
    """Random strings: characters of all of Unicode, bits of the fixed texts, and `pieces`."""
    rng = random.Random(seed)
    weights = [w for _, _, w in RANGES]
    bits = CODE + SPACES + MARKS + EMOJI + CONTROLS + list(SCRIPTS.values()) + SPECIALS + list(pieces)

    def char():
        low, high, _ = rng.choices(RANGES, weights)[0]
        while True:
            c = rng.randint(low, high)
            if not 0xD800 <= c <= 0xDFFF:
                return chr(c)

    out = []
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(1, 12)):
            kind = rng.random()
            if kind < 0.45:
                parts.append("".join(char() for _ in range(rng.randint(1, 6))))
            elif kind < 0.55:
                parts.append(char() * rng.randint(1, 9))
            elif kind < 0.7:
                parts.append(rng.choice("  \n\t'\"-_.,0123456789aEsStT") * rng.randint(1, 3))
            else:
                bit = rng.choice(bits)
                if not bit:
                    continue
                at = rng.randrange(len(bit))
                parts.append(bit[at:at + rng.randint(1, 16)] if rng.random() < 0.7 else bit[:60])
        out.append("".join(parts))
    return out


def training_text(seed=1, repeat=40):
    """Lines to train small tokenizers on: enough repetition that merges of several levels arise."""
    rng = random.Random(seed)
    words = []
    for text in list(SCRIPTS.values()) + CODE:
        words += text.split()
    syllables = "an be co de en fi ga ho in ko la me no or pa qu re sa ti un ve wo xy zu str ing tion ed ly er est".split()
    words += ["".join(rng.choice(syllables) for _ in range(rng.randint(1, 4))) for _ in range(1500)]
    lines = []
    for _ in range(repeat * 20):
        lines.append(" ".join(rng.choice(words) for _ in range(rng.randint(3, 20))))
    return lines + CODE * 5 + list(SCRIPTS.values()) * 5 + SPACES
