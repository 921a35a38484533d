import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faltung.errors import BoundaryError
from faltung.problem.boundary import RULES, AxisMap, Rule, axis_map, parse
from strategies import NUMPY_PAD

# The first draw of a session may be slow: it reads the constants of every imported module.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SAMPLES = np.array([3, -11, 8, 101, -57, 20])


def rule(name: str) -> Rule:
    return Rule(name, 7) if name == "constant" else Rule(name)


def evaluate(found: AxisMap, x: np.ndarray) -> np.ndarray:
    """Apply the formula of AxisMap's docstring."""
    constant = found.index == -1
    value = x[np.where(constant, 0, found.index)]
    if found.sign is not None:
        value = found.sign * value + found.first * x[0] + found.last * x[-1]
    return value if found.fill is None else np.where(constant, found.fill, value)


def test_the_rules_are_these_eight() -> None:
    assert set(RULES) == set(NUMPY_PAD)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("n", range(1, 7))
def test_every_overhang_agrees_with_numpy_pad(name: str, n: int) -> None:
    x = SAMPLES[:n]
    for low, high in itertools.product(range(26), repeat=2):
        found = evaluate(axis_map(-low, n + high, n, (rule(name), rule(name))), x)
        np.testing.assert_array_equal(found, np.pad(x, (low, high), **NUMPY_PAD[name]), f"{low} {high}")


@pytest.mark.parametrize("name", RULES)
def test_an_overhang_of_a_thousand_arrays(name: str) -> None:
    found = evaluate(axis_map(-3000, 3003, 3, (rule(name), rule(name))), SAMPLES[:3])
    np.testing.assert_array_equal(found, np.pad(SAMPLES[:3], 3000, **NUMPY_PAD[name]))


@unhurried
@given(
    x=st.lists(st.integers(-1000, 1000), min_size=1, max_size=9),
    names=st.tuples(st.sampled_from(RULES), st.sampled_from(RULES)),
    ends=st.tuples(st.integers(-40, 40), st.integers(-40, 40)),
)
def test_each_side_follows_its_own_rule_in_any_window(
    x: list[int], names: tuple[str, str], ends: tuple[int, int]
) -> None:
    n, (start, stop) = len(x), sorted(ends)
    low, high = (np.pad(np.array(x), 40, **NUMPY_PAD[name]) for name in names)
    expected = np.concatenate((low[: 40 + n], high[40 + n :]))[40 + start : 40 + stop]
    found = axis_map(start, stop, n, (rule(names[0]), rule(names[1])))
    np.testing.assert_array_equal(evaluate(found, np.array(x)), expected)
    assert found.index.dtype == np.int64
    assert len(found.index) == stop - start


def test_parts_that_are_not_needed_are_none() -> None:
    odd, plain = (Rule("antireflect"),) * 2, (Rule("wrap"),) * 2
    for found in (axis_map(-3, 9, 5, plain), axis_map(0, 5, 5, odd), axis_map(-9, 9, 1, odd)):
        assert (found.fill, found.sign, found.first, found.last) == (None, None, None, None)
    assert axis_map(-1, 5, 5, odd).sign is not None
    mixed = axis_map(-1, 6, 5, (Rule("constant", 2), Rule("antireflect")))
    assert [part[0] for part in (mixed.index, mixed.fill, mixed.sign, mixed.first, mixed.last)] == [-1, 2, 0, 0, 0]


@pytest.mark.parametrize(("value", "dtype"), [(5, np.int64), (0.5, np.float64), (1j, np.complex128)])
def test_the_fill_has_the_dtype_of_the_value(value: complex, dtype: type) -> None:
    fill = axis_map(-2, 3, 3, (Rule("constant", value), Rule("zero"))).fill
    assert fill.dtype == dtype
    assert fill[:2].tolist() == [value, value]


def test_two_constants_share_a_dtype_wide_enough_for_both() -> None:
    fill = axis_map(-1, 4, 3, (Rule("constant", 5), Rule("constant", 0.5))).fill
    assert fill[[0, -1]].tolist() == [5.0, 0.5]


def test_an_empty_axis_is_all_constant_or_refused() -> None:
    assert axis_map(-2, 2, 0, (Rule("zero"), Rule("zero"))).index.tolist() == [-1] * 4
    assert axis_map(0, 0, 0, (Rule("edge"), Rule("edge"))).index.size == 0
    for name in set(RULES) - {"zero", "constant"}:
        for start, stop in ((-1, 0), (0, 1)):
            with pytest.raises(BoundaryError, match=rf"'{name}' cannot extend an axis of length 0.*use 'zero' or"):
                axis_map(start, stop, 0, (Rule(name), Rule(name)))


# --- how a boundary may be written --------------------------------------------------------------------------

REFLECT, WRAP, FIVE, ZERO = Rule("reflect"), Rule("wrap"), Rule("constant", 5), Rule("zero")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("reflect", ((REFLECT, REFLECT), (REFLECT, REFLECT))),
        (REFLECT, ((REFLECT, REFLECT), (REFLECT, REFLECT))),
        (None, ((WRAP, WRAP), (WRAP, WRAP))),
        ("constant", ((Rule("constant"), Rule("constant")),) * 2),
        ("constant:5", ((FIVE, FIVE), (FIVE, FIVE))),
        (("constant", 5), ((FIVE, FIVE), (FIVE, FIVE))),
        (["constant", 5], ((FIVE, FIVE), (FIVE, FIVE))),
        (("reflect", "wrap"), ((REFLECT, REFLECT), (WRAP, WRAP))),
        ((("reflect", "wrap"), "constant:5"), ((REFLECT, WRAP), (FIVE, FIVE))),
        ([("constant", 5), ("wrap", ("constant", np.int8(5)))], ((FIVE, FIVE), (WRAP, FIVE))),
        ("ndimage:constant:5", ((FIVE, FIVE), (FIVE, FIVE))),
        (("cv2:constant", 5), ((FIVE, FIVE), (FIVE, FIVE))),
        ("ndimage:constant", ((ZERO, ZERO), (ZERO, ZERO))),
        ("cv2:BORDER_REFLECT_101", ((REFLECT, REFLECT), (REFLECT, REFLECT))),
        ("cv2:border_wrap", ((WRAP, WRAP), (WRAP, WRAP))),
    ],
)
def test_ways_to_write_a_boundary_of_two_axes(written: object, expected: object) -> None:
    assert parse(written, 2, default="wrap") == expected
    assert parse(None, 1) == ((Rule("symmetric"), Rule("symmetric")),)
    assert parse("reflect", 0) == ()


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [("constant:-2", -2, int), ("constant:2.5e-3", 0.0025, float), ("constant:(1-2j)", 1 - 2j, complex)],
)
def test_a_constant_keeps_its_kind_and_is_written_as_it_is_read(text: str, value: complex, kind: type) -> None:
    found = parse(text, 1)[0][0]
    assert (found.value, type(found.value)) == (value, kind)
    assert parse(str(found), 1)[0][0] == found


def test_numpy_scalars_become_python_numbers() -> None:
    kinds = [type(Rule("constant", v).value) for v in (np.uint8(3), np.float32(0.5), np.complex64(1j), np.True_)]
    assert kinds == [int, float, complex, int]
    assert np.isnan(parse("constant:nan", 1)[0][0].value)


def test_a_rule_prints_itself_and_knows_its_kind() -> None:
    assert [str(r) for r in (REFLECT, FIVE, ZERO, Rule("constant"))] == ["reflect", "constant:5", "zero", "constant:0"]
    assert [name for name in RULES if Rule(name).is_constant] == ["zero", "constant"]
    assert [name for name in RULES if Rule(name).is_odd] == ["antireflect", "antisymmetric"]


# --- what is refused, and what the message says -------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("mirror", ["unknown boundary 'mirror' without the prefix", "did you mean 'reflect' (as 'ndimage:mirror')?"]),
        ("nearest", ["'edge' (as 'ndimage:nearest')", "'edge' (as 'dask:nearest')"]),
        ("circular", ["'wrap' (as 'torch:circular')"]),
        ("replicate", ["'edge' (as 'cv2:replicate')", "'edge' (as 'torch:replicate')"]),
        ("BORDER_REFLECT_101", ["'reflect' (as 'cv2:reflect_101')"]),
        ("nonsense", ["unknown boundary 'nonsense'; the rules are", "with the prefix ndimage:, cv2:, torch:, numpy:"]),
        ("scipy:reflect", ["unknown boundary 'scipy:reflect'; the rules are", "with the prefix ndimage:"]),
        ("REFLECT", ["unknown boundary 'REFLECT'", "'symmetric' (as 'ndimage:reflect')"]),
        ("torch:mirror", ["unknown boundary 'torch:mirror'; torch has torch:zeros, torch:constant, torch:reflect"]),
        ("edge:5", ["boundary 'edge:5': 'edge' takes no value; write 'constant:5'"]),
        ("zero:5", ["'zero' takes no value; write 'constant:5'"]),
        ("torch:circular:5", ["'wrap' takes no value; write 'constant:5'"]),
        (("reflect", 5), ["boundary 'reflect:5': 'reflect' takes no value; write 'constant:5'"]),
        ("constant:five", ["boundary 'constant:five': 'five' is no number; write for example 'constant:5'"]),
        ("constant:", ["'' is no number"]),
        (("constant:3", 5), ["'3:5' is no number"]),
        (5, ["boundary 5 is neither a rule nor a sequence with one entry per axis; write 'constant:5'"]),
        ({"x": 1}, ["boundary {'x': 1} is neither a rule", "the rules are"]),
        (["wrap", ["wrap", "wrap", "wrap"]], ["boundary ['wrap', 'wrap', 'wrap'] is neither a rule"]),
        (["wrap", None], ["boundary None is neither a rule"]),
        (
            ["wrap"],
            ["boundary=['wrap'] has 1 entries for 2 filtered axes; give one rule for all, or one entry per axis"],
        ),
        (("constant", 2**63), ["the constant 9223372036854775808 of a boundary does not fit int64; give a float"]),
    ],
)
def test_the_message_for_what_is_refused(written: object, parts: list[str]) -> None:
    with pytest.raises(BoundaryError) as caught:
        parse(written, 2)
    for part in parts:
        assert part in str(caught.value)


def test_an_unknown_name_lists_every_rule_with_its_picture() -> None:
    with pytest.raises(BoundaryError) as caught:
        parse("nonsense", 1)
    lines = [line.split() for line in str(caught.value).splitlines()]
    letters = dict(zip("abcd", (1, 20, 300, 4000), strict=True))
    drawn = {words[0]: words[1:] for words in lines if words and words[0] in RULES}
    assert set(drawn) == set(RULES)
    for name, picture in drawn.items():
        terms = [eval(w.replace("2", "2*"), {**letters, "v": 7}) for w in picture if w != "|"]
        assert terms == np.pad([1, 20, 300, 4000], 3, **NUMPY_PAD[name]).tolist(), name


def test_a_rule_refuses_what_it_cannot_mean() -> None:
    with pytest.raises(BoundaryError, match=r"unknown boundary 'mirror' without the prefix"):
        Rule("mirror")
    with pytest.raises(BoundaryError, match=r"'edge' takes no value, got 3; write 'constant:3'"):
        Rule("edge", 3)
    with pytest.raises(BoundaryError, match=r"must be a number, got '3'; write for example 'constant:5'"):
        Rule("constant", "3")


# --- the names of other libraries, against those libraries --------------------------------------------------

ARRAY = np.array([3.0, -11.0, 8.0, 101.0, -57.0])


def extended(boundary: str, x: np.ndarray, overhang: int) -> np.ndarray:
    sides = parse(boundary, 1)[0]
    return evaluate(axis_map(-overhang, len(x) + overhang, len(x), sides), x)


NDIMAGE = ["reflect", "grid-mirror", "mirror", "nearest", "constant", "grid-constant", "wrap", "grid-wrap"]
CV2 = ["reflect", "REFLECT", "reflect_101", "reflect101", "default", "replicate", "constant", "WRAP"]


@pytest.mark.parametrize("name", [*NDIMAGE, "constant:5"])
@pytest.mark.parametrize("overhang", [2, 4, 13])
def test_names_of_scipy_ndimage(name: str, overhang: int) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    weights = np.arange(1.0, 2 * overhang + 2)
    mode, _, value = name.partition(":")
    expected = ndimage.correlate1d(ARRAY, weights, mode=mode, cval=float(value or 0))
    found = np.correlate(extended(f"ndimage:{name}", ARRAY, overhang), weights, "valid")
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("name", CV2)
@pytest.mark.parametrize("overhang", [3, 12])
def test_names_of_opencv(name: str, overhang: int) -> None:
    cv2 = pytest.importorskip("cv2")
    border = getattr(cv2, f"BORDER_{name.upper()}")
    expected = cv2.copyMakeBorder(ARRAY[None], 0, 0, overhang, overhang, border)[0]
    np.testing.assert_array_equal(extended(f"cv2:{name}", ARRAY, overhang), expected)
    np.testing.assert_array_equal(extended(f"cv2:BORDER_{name}", ARRAY, overhang), expected)


@pytest.mark.parametrize("name", ["zeros", "reflect", "replicate", "circular"])
def test_names_of_torch_convolutions(name: str) -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Conv1d(1, 1, 7, padding=3, padding_mode=name, bias=False, dtype=torch.float64)
    expected = layer(torch.from_numpy(ARRAY)[None, None]).detach().numpy()[0, 0]
    weights = layer.weight.detach().numpy()[0, 0]
    found = np.correlate(extended(f"torch:{name}", ARRAY, 3), weights, "valid")
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_the_constant_of_torch_pad() -> None:
    torch = pytest.importorskip("torch")
    expected = torch.nn.functional.pad(torch.from_numpy(ARRAY), (4, 4), "constant", 5.0).numpy()
    np.testing.assert_array_equal(extended("torch:constant:5", ARRAY, 4), expected)


@pytest.mark.parametrize("name", ["constant", "edge", "reflect", "symmetric", "wrap"])
def test_names_of_numpy(name: str) -> None:
    np.testing.assert_array_equal(extended(f"numpy:{name}", ARRAY, 17), np.pad(ARRAY, 17, mode=name))


@pytest.mark.parametrize("name", ["reflect", "periodic", "nearest"])
def test_names_of_dask_overlap(name: str) -> None:
    da = pytest.importorskip("dask.array")
    expected = da.overlap.overlap(da.from_array(ARRAY, chunks=5), depth=3, boundary=name).compute()
    np.testing.assert_array_equal(extended(f"dask:{name}", ARRAY, 3), expected)


@pytest.mark.parametrize("name", ["fill", "wrap", "symm", "fill:5"])
def test_names_of_scipy_signal(name: str) -> None:
    signal = pytest.importorskip("scipy.signal")
    weights = np.arange(1.0, 8.0)
    mode, _, value = name.partition(":")
    expected = signal.convolve2d(ARRAY[None], weights[None], "same", mode, float(value or 0))[0]
    found = np.convolve(extended(f"signal:{name}", ARRAY, 3), weights, "valid")
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("name", ["fill", "wrap", "extend"])
def test_names_of_astropy(name: str) -> None:
    convolution = pytest.importorskip("astropy.convolution")
    weights = np.arange(1.0, 6.0)
    expected = convolution.convolve(ARRAY, weights, boundary=name, normalize_kernel=False)
    np.testing.assert_allclose(np.convolve(extended(f"astropy:{name}", ARRAY, 2), weights, "valid"), expected)
