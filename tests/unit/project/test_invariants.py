"""The runtime's invariants: 112 statements about controller-runtime and client-go, each one a test of ours or left out.

A test carries the number in its name (`test_inv_003_...`, or `test_inv_020_021_...` for two at once). Where our design
decides otherwise than upstream, the test shows ours and its docstring says why.
"""

import re

from tests.support.project import ROOT

NOT_WANTED = {
    26: "FastSlow limiter: nothing wants two speeds; what slow APIs want is exponential backoff per item",
    27: "MaxOf limiter: there is one limiter per controller, so there is nothing to combine",
    28: "WithMaxWait limiter: a backoff has its cap",
    45: "Requeue without a delay: the result is Done, After or an exception, so that no rule has to say which one wins",
    87: "resync: to replay a cache finds no event that was lost; After(...) asks for another look",
}
"""Number, and why we do without."""

_NAME = re.compile(r"^\s*(?:async )?(?:def )?test_inv((?:_\d{3})+)_", re.MULTILINE)


def test_every_invariant_is_a_test_or_is_left_out_for_a_reason():
    """Every number from 1 to 112 is in the name of a test, or in the one list above, never in both."""
    texts = [path.read_text() for path in (ROOT / "tests" / "unit").rglob("test_*.py")]
    tested = {
        int(number)
        for text in texts
        for numbers in _NAME.findall(text)
        for number in numbers.split("_")
        if number
    }
    assert tested | NOT_WANTED.keys() == set(range(1, 113))
    assert not tested & NOT_WANTED.keys()
