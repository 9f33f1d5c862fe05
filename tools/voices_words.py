"""What is said: the ten digits, and the other words that the speech source learns."""

DIGITS = "zero one two three four five six seven eight nine".split()

# Common words with every sound of English, at the beginning, in the middle and at the end. No digit, none
# of their homophones (won, to, too, for, ate ...), and nothing that some accents make one (tree, free).
OTHERS = """
about above again air all animal answer apple arm back bad bag ball bed before bird black blue boat body book box
boy bread bring brother build by call car change child church city clean cloud cold colour corn cow cup dance day deep
dinner dog door down dream drive earth easy edge egg end even ever every eye face farm father feel finish fire fish
fly food foot forest friend fruit game garden gate girl give glass go gold good grass green hair hand happy hat head
hear heart heaven hello help hero hill home horse house ice idea join jump key kitchen kiss lake late leaf leg life
light line listen long love machine make man many measure milk mix moon morning mother mouth move music name
never new nice night noise nose now ocean old open orange out over paper park people picture play pleasure point
pull push queen question quick rain read red right river road room run salt sand say school sea see shoe shop short
show silver sing sister sit sky sleep slow small smile snow soft song sound south speak spoon spring star stay step
stone stop story street strong sugar summer sun table take talk tea teacher thank thick thing think thin thumb thread
today tooth touch town train travel turn uncle under use value very vine visit voice wait walk wall want warm wash
watch water weather week wheel white wide wind window winter wish woman wood word work world yellow yes young zebra zoo
""".split()


def check_words(words):
    """Return the words, or say which of them cannot be in the source set.

    Args:
        words: List of words.
    """
    told = sorted(set(words) & set(DIGITS))
    if told or not words or len(set(words)) < len(words):
        twice = sorted({word for word in words if words.count(word) > 1})
        raise ValueError(
            f"words must be other words than the digits, each once. Received: {len(words)} words, "
            f"digits among them: {', '.join(told) or 'none'}; twice: {', '.join(twice) or 'none'}."
        )
    return list(words)
