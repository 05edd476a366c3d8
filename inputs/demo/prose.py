"""Paragraphs of plain English for the demo's pt stage: a few written ones, and small stories
filled in from lists of words."""

WRITTEN = """A training step has three parts: the model reads a batch of tokens and predicts each next one; the errors flow back and become gradients; the optimizer moves every weight a little against its gradient.
When one machine is too small, the work is split. Data parallel ranks hold the same weights and read different samples; after each step they add up their gradients, so that all of them make the same move.
Tensor parallel ranks share one layer. A wide matrix is cut into columns, the next one into rows, and a single sum at the end puts the halves together again.
Pipeline parallel ranks share the depth of the model. The first stage holds the first layers and hands its result on; while the second stage works, the first one begins with the next micro-batch.
The loss is the mean over all trained tokens of the global batch. It does not matter how the batch is cut into micro-batches, or over how many ranks they are spread: the mean stays the same.
A checkpoint is written under a temporary name first. Only when every byte has reached the disk does it get its real name, so a crash can never leave half of one behind.
A tokenizer cuts text into words and words into pieces. Frequent words are a single piece; rare ones are spelled from several, and any byte at all can be spelled.
The learning rate begins small, rises while the statistics of the optimizer are still poor, and falls slowly towards the end of the run.
A sample is a list of tokens and a list of labels. Where the label says so, the position is read but not trained, as the question is in a dialogue.
Weights and moments are kept in full precision, while the multiplications run in a shorter format that moves through memory twice as fast.
To resume a run means to go on as if nothing had happened: the same weights, the same moments, the same next sample, and therefore the same loss.
A gradient that is far too long would throw the model off its path, so its norm is measured over all ranks and cut down when it is above the limit.""".split("\n")

NAMES = "Ada Ben Clara David Emma Felix Greta Henry Ida Jonas Lena Max Nora Otto Paula Rosa".split()
ANIMALS = "fox heron mule owl otter goat raven hare cat dog sparrow pony".split()
PLACES = ("the old mill|the harbor|the market|the north gate|the river|the school|the bakery|"
          "the lighthouse|the long bridge|the orchard").split("|")
THINGS = ("a blue lantern|a basket of pears|an old map|a broken clock|a wooden flute|"
          "a sack of flour|a silver key|a coil of rope|a letter|a box of nails").split("|")
TIMES = ("early in the morning|at noon|before the rain|late in the evening|on the first day of "
         "May|when the bells rang|after the harvest|one cold night").split("|")
MOODS = "glad tired curious patient proud hungry careful quiet".split()

OPENINGS = (
    "{name} went to {place} {time} and carried {thing}.",
    "{time_up}, {name} was looking for {thing} near {place}.",
    "There was {thing} at {place}, and nobody but {name} knew of it.",
    "{name} and {friend} met at {place} {time}.",
)
MIDDLES = (
    "A {animal} sat by the wall and watched, and {name} was {mood}.",
    "{friend} had seen {thing2} there the day before.",
    "The way from {place} to {place2} takes about {n} minutes on foot.",
    "\"Have you seen {thing2}?\" asked {friend}. \"Not since yesterday,\" said {name}.",
    "They counted {n} steps, then {n2} more, and stopped.",
    "The {animal} followed them as far as {place2}.",
)
ENDINGS = (
    "In the end {name} gave {thing} to {friend} and walked home.",
    "Nothing else happened that day, and {name} was {mood}.",
    "When they came back to {place}, the {animal} was gone.",
    "{friend} laughed, and they went on to {place2}.",
)


def story(rng):
    name, friend = rng.sample(NAMES, 2)
    place, place2 = rng.sample(PLACES, 2)
    thing, thing2 = rng.sample(THINGS, 2)
    time = rng.choice(TIMES)
    words = dict(name=name, friend=friend, place=place, place2=place2, thing=thing, thing2=thing2,
                 time=time, time_up=time[0].upper() + time[1:], animal=rng.choice(ANIMALS),
                 mood=rng.choice(MOODS), n=rng.randint(3, 60), n2=rng.randint(3, 60))
    parts = [rng.choice(OPENINGS), *rng.sample(MIDDLES, rng.randint(1, 3)), rng.choice(ENDINGS)]
    return " ".join(parts).format(**words)


def paragraphs(rng, count):
    """The written paragraphs and stories, shuffled: `count` in all."""
    chosen = WRITTEN + [story(rng) for _ in range(count - len(WRITTEN))]
    rng.shuffle(chosen)
    return chosen
