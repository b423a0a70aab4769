"""How people may say what a scene shows: free phrasing for training, one plain form for the test."""
from weights.train.scenes import COLORS, SHAPES

SIZE_WORDS = {"small": ["small", "small", "small", "little", "tiny"], "large": ["large", "large", "large", "big"]}
MATERIAL_WORDS = {"matte": ["matte"], "shiny": ["shiny", "shiny", "glossy"]}
SHAPE_WORDS = {"sphere": ["sphere", "sphere", "sphere", "ball"], "cube": ["cube"] * 4 + ["box"],
               "ring": ["ring"] * 4 + ["donut"]}
GROUND_PHRASES = {"white floor": ["on a white floor"], "grey floor": ["on a grey floor", "on a gray floor"],
                  "wooden table": ["on a wooden table", "on a table", "on wood"],
                  "chessboard": ["on a chessboard", "on a chess board"],
                  "grass": ["on grass", "on the grass", "in the grass"]}
LIGHT_PHRASES = {"daylight": ["in daylight", "by daylight", "in the daylight"],
                 "sunset": ["at sunset", "at sunset", "in the sunset", "in the evening"],
                 "moonlight": ["in moonlight", "by moonlight", "in the moonlight", "at night"],
                 "underwater": ["underwater", "underwater", "under water"]}
NAMED_DAYLIGHT = 0.12      # share of daylight's captions that say so: without a word the light is daylight
OPENINGS = ["a photo of", "a picture of", "a render of", "an image of", "a drawing of"]
SYMMETRIC = ("beside", "next to")
RELATION_PHRASES = {"left": ["to the left of", "to the left of", "left of", "on the left of", *SYMMETRIC],
                    "top": ["on top of", "on top of", "on", "above"], "front": ["in front of", "in front of"]}
INVERSE_PHRASES = {"left": ["to the right of", "to the right of", "right of", "on the right of"],
                   "top": ["under", "below"], "front": ["behind", "behind"]}


def plain_caption(scene, name_daylight=False):
    """Colour, shape and relation, nothing else: the form in which held-out combinations are tested. Daylight needs no
    word, another light is named: "a red cube on top of a blue sphere at sunset"."""
    names = [f"{_article(thing['color'])} {thing['color']} {thing['shape']}" for thing in scene["objects"]]
    text = names[0] if len(names) == 1 else f"{names[0]} {RELATION_PHRASES[scene['relation']][0]} {names[1]}"
    return text if scene["light"] == "daylight" and not name_daylight else f"{text} {LIGHT_PHRASES[scene['light']][0]}"


def detailed_caption(scene):
    """As the plain one, with the sizes and the ground: "a small red cube on top of a large blue sphere on grass"."""
    names = [f"{_article(thing['size'])} {thing['size']} {thing['color']} {thing['shape']}"
             for thing in scene["objects"]]
    text = names[0] if len(names) == 1 else f"{names[0]} {RELATION_PHRASES[scene['relation']][0]} {names[1]}"
    return f"{text} {GROUND_PHRASES[scene['ground']][0]}"


def free_caption(rng, scene, with_light=True):
    """A caption as somebody might type it: words left out, synonyms, either order, with or without the ground, with any
    light but daylight, which is seldom named."""
    if len(scene["objects"]) == 1 and rng.random() < 0.06:
        text = scene["objects"][0]["shape"]
    else:
        text = _objects_phrase(rng, scene)
    if rng.random() < 0.5:
        ground = rng.choice(GROUND_PHRASES[scene["ground"]])
        text = f"{text} {ground}" if rng.random() < 0.85 else f"{ground}, {text}"
    if with_light and (scene["light"] != "daylight" or rng.random() < NAMED_DAYLIGHT):
        text = _with_light(rng, text, rng.choice(LIGHT_PHRASES[scene["light"]]))
    if rng.random() < 0.12:
        text = f"{rng.choice(OPENINGS)} {text}"
    return text


def _with_light(rng, text, light):
    choice = rng.random()
    if choice < 0.75:
        return f"{text} {light}"
    return f"{text}, {light}" if choice < 0.85 else f"{light}, {text}"


def _objects_phrase(rng, scene):
    first = _object_phrase(rng, scene["objects"][0])
    if len(scene["objects"]) == 1:
        return first
    second = _object_phrase(rng, scene["objects"][1])
    choice = rng.random()
    if choice < 0.60:
        phrase = rng.choice(RELATION_PHRASES[scene["relation"]])
        swapped = phrase in SYMMETRIC and rng.random() < 0.5
        return f"{second} {phrase} {first}" if swapped else f"{first} {phrase} {second}"
    if choice < 0.90:
        return f"{second} {rng.choice(INVERSE_PHRASES[scene['relation']])} {first}"
    one, other = (first, second) if rng.random() < 0.5 else (second, first)
    return f"{one} and {other}" if rng.random() < 0.7 else f"{one}, {other}"


def _object_phrase(rng, thing):
    words = []
    if rng.random() < 0.42:
        words.append(rng.choice(SIZE_WORDS[thing["size"]]))
    if rng.random() < 0.32:
        words.append(rng.choice(MATERIAL_WORDS[thing["material"]]))
    if rng.random() < 0.95:
        words.append(thing["color"])
    words.append(rng.choice(SHAPE_WORDS.get(thing["shape"], [thing["shape"]])))
    article = rng.choices(["a", "the", ""], [0.72, 0.13, 0.15])[0]
    if article == "a":
        article = _article(words[0])
    return " ".join(([article] if article else []) + words)


def _article(word):
    return "an" if word[0] in "aeiou" else "a"


def vocabulary():
    """Every word that a caption can contain."""
    words = {"a", "an", "the", "and", "of", *COLORS, *SHAPES}
    tables = (SIZE_WORDS, MATERIAL_WORDS, SHAPE_WORDS, GROUND_PHRASES, LIGHT_PHRASES, RELATION_PHRASES,
              INVERSE_PHRASES)
    phrases = [phrase for table in tables for choices in table.values() for phrase in choices]
    for phrase in phrases + OPENINGS:
        words |= set(phrase.split())
    return sorted(words)
