"""The ten invented breeds of the synthetic dogs, what each looks like and how a dog may pose, as data."""

from dataclasses import dataclass

from doggan.data.synthetic_canvas import Colour, Fur

BLACK: Colour = (46, 42, 46)
CREAM: Colour = (250, 238, 216)
WHITE: Colour = (250, 247, 242)

_SHORT = Fur("short", 0.05)
_PLUSH = Fur("short", 0.06, depth=0.07, wavelength=0.13)
_SILKY = Fur("silky", 0.05, depth=0.055, wavelength=0.13)
_CURLY = Fur("curly", 0.032, depth=0.12, wavelength=0.3, curly=True)


@dataclass(frozen=True)
class Breed:
    """One breed. Lengths are in half head widths; the head's centre is (0, 0), y points down.

    Attributes:
        synset: an identifier in the published form, in a range that ImageNet does not use.
        name: as in the published folder names.
        coat: colour of most of the dog.
        ears: a key of `synthetic_heads.EARS`.
        ear_colour: of the outside of the ear.
        fur: texture and tufts of the coat.
        skull: half widths at temples, cheeks and jaw; heights of the crown and the chin.
        muzzle: half width, half height, height of its centre.
        muzzle_colour: colour of the muzzle.
        markings: keys of `synthetic_heads.MARKINGS` with a colour each, laid on the head in this order.
        chest: colour of the bib.
        legs: colour of the paws and lower legs.
        saddle: colour laid over the back, or None.
        spots: how many spots are strewn over head and body.
        eye: x, y and radius.
        iris: colour of the iris.
        nose: half width of the nose, and its colour.
        build: breadth of the body.
        tail: "curl", "whip", "plume" or "stub".
        tongue: probability of showing it.
    """

    synset: str
    name: str
    coat: Colour
    ears: str
    ear_colour: Colour
    fur: Fur
    skull: tuple[float, float, float, float, float]
    muzzle: tuple[float, float, float]
    muzzle_colour: Colour
    chest: Colour
    legs: Colour
    markings: tuple[tuple[str, Colour], ...] = ()
    saddle: Colour | None = None
    spots: int = 0
    eye: tuple[float, float, float] = (0.40, -0.10, 0.15)
    iris: Colour = (112, 66, 30)
    nose: tuple[float, Colour] = (0.21, (30, 26, 28))
    build: float = 1.0
    tail: str = "whip"
    tongue: float = 0.3

    @property
    def folder(self) -> str:
        """The breed's folder in the published layout, `<synset>-<name>`."""
        return f"{self.synset}-{self.name}"


BREEDS: tuple[Breed, ...] = (
    Breed(
        "n90000001", "prick-eared_red",
        coat=(220, 112, 40), ears="prick", ear_colour=(206, 108, 42), fur=_PLUSH,
        skull=(0.82, 1.06, 0.66, 0.88, 0.88), muzzle=(0.42, 0.36, 0.44), muzzle_colour=CREAM,
        markings=(("cheeks", CREAM), ("pips", CREAM)), chest=CREAM, legs=CREAM,
        eye=(0.40, -0.10, 0.13), tail="curl",
    ),
    Breed(
        "n90000002", "golden_gundog",
        coat=(238, 192, 118), ears="drop", ear_colour=(206, 146, 76), fur=_SILKY,
        skull=(0.84, 0.92, 0.66, 0.90, 0.94), muzzle=(0.50, 0.44, 0.46), muzzle_colour=(248, 216, 156),
        chest=(250, 222, 168), legs=(242, 202, 134),
        build=1.1, tail="plume", tongue=0.75,
    ),
    Breed(
        "n90000003", "tricolour_beagle",
        coat=(178, 104, 54), ears="hang", ear_colour=(128, 70, 36), fur=_SHORT,
        skull=(0.80, 0.86, 0.60, 0.92, 0.94), muzzle=(0.45, 0.42, 0.48), muzzle_colour=WHITE,
        markings=(("blaze", WHITE),), chest=WHITE, legs=WHITE, saddle=BLACK,
        eye=(0.40, -0.12, 0.16), build=0.95,
    ),
    Breed(
        "n90000004", "black-and-tan_hound",
        coat=(52, 46, 50), ears="hang", ear_colour=(40, 36, 40), fur=_SHORT,
        skull=(0.72, 0.78, 0.56, 0.96, 1.04), muzzle=(0.42, 0.52, 0.56), muzzle_colour=(190, 112, 50),
        markings=(("tan_cheeks", (190, 112, 50)), ("pips", (206, 124, 56))),
        chest=(184, 106, 48), legs=(190, 112, 50),
        eye=(0.36, -0.14, 0.14), iris=(150, 92, 40), build=0.9,
    ),
    Breed(
        "n90000005", "spotted_coach",
        coat=(246, 245, 244), ears="drop", ear_colour=(48, 46, 52), fur=_SHORT,
        skull=(0.76, 0.82, 0.58, 0.94, 0.98), muzzle=(0.43, 0.45, 0.50), muzzle_colour=(250, 249, 248),
        chest=(250, 249, 248), legs=(246, 245, 244), spots=20,
        eye=(0.38, -0.12, 0.15), build=0.9,
    ),
    Breed(
        "n90000006", "masked_pug",
        coat=(226, 188, 138), ears="rose", ear_colour=(52, 44, 42), fur=_SHORT,
        skull=(0.98, 1.06, 0.84, 0.84, 0.86), muzzle=(0.56, 0.38, 0.40), muzzle_colour=(58, 48, 46),
        markings=(("mask", (64, 52, 48)), ("wrinkles", (176, 134, 92))),
        chest=(238, 208, 164), legs=(226, 188, 138),
        eye=(0.50, -0.04, 0.19), iris=(92, 54, 28), nose=(0.18, (24, 21, 22)), build=1.2, tail="curl",
    ),
    Breed(
        "n90000007", "curly_white",
        coat=(250, 246, 238), ears="puff", ear_colour=(240, 232, 218), fur=_CURLY,
        skull=(1.00, 1.04, 0.76, 1.06, 0.94), muzzle=(0.44, 0.36, 0.42), muzzle_colour=(255, 252, 247),
        chest=(252, 249, 243), legs=(250, 246, 238),
        eye=(0.38, -0.04, 0.15), iris=(60, 38, 24), build=1.05, tail="plume",
    ),
    Breed(
        "n90000008", "blue-eyed_sled_dog",
        coat=(108, 114, 126), ears="prick", ear_colour=(88, 94, 106), fur=_PLUSH,
        skull=(0.82, 1.02, 0.62, 0.90, 0.94), muzzle=(0.41, 0.42, 0.48), muzzle_colour=WHITE,
        markings=(("face", WHITE), ("stripe", (92, 98, 110))), chest=WHITE, legs=WHITE,
        eye=(0.40, -0.12, 0.14), iris=(88, 170, 232), build=1.05, tail="plume",
    ),
    Breed(
        "n90000009", "bat-eared_tuxedo",
        coat=(58, 54, 62), ears="bat", ear_colour=(54, 50, 58), fur=_SHORT,
        skull=(0.94, 1.00, 0.80, 0.82, 0.84), muzzle=(0.56, 0.38, 0.40), muzzle_colour=WHITE,
        markings=(("blaze", WHITE),), chest=WHITE, legs=WHITE,
        eye=(0.52, -0.08, 0.18), iris=(140, 86, 40), nose=(0.19, (28, 25, 27)), build=1.1, tail="stub",
    ),
    Breed(
        "n90000010", "chocolate_spaniel",
        coat=(122, 70, 42), ears="spaniel", ear_colour=(96, 52, 30), fur=_SILKY,
        skull=(0.80, 0.84, 0.62, 1.00, 0.94), muzzle=(0.46, 0.42, 0.47), muzzle_colour=(150, 94, 62),
        chest=(166, 110, 76), legs=(140, 84, 54),
        eye=(0.38, -0.10, 0.15), iris=(176, 120, 56), nose=(0.21, (66, 36, 28)), tail="stub",
    ),
)  # fmt: skip


POSES = ("portrait", "sit", "stand")


@dataclass(frozen=True)
class Pose:
    """How a dog holds itself.

    Attributes:
        kind: one of `POSES`.
        tilt: the head's roll in radians.
        turn: the head's yaw, −1 (its right) to 1.
        nod: the head's pitch, −1 (up) to 1 (down).
        mirror: whether the whole dog is seen in a mirror.
        tongue: whether it shows its tongue.
        collar: colour of the collar, or None.
        light: towards the lamp, in picture coordinates.
    """

    kind: str = "portrait"
    tilt: float = 0.0
    turn: float = 0.0
    nod: float = 0.0
    mirror: bool = False
    tongue: bool = False
    collar: Colour | None = None
    light: tuple[float, float] = (-0.5, -0.85)
