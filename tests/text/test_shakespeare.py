"""Markdown plays in the style of tiny-shakespeare (the real ones: test_corpora.py)."""

from __future__ import annotations

from charrnn.text.corpora import render_play

PLAY = """\
# A Play

## ACT I

### SCENE III. A field of battle between Towton and Saxton, in

Yorkshire.

_Enter a company of mutinous Citizens, with staves, clubs, and other
weapons_

**First Citizen**  
Before we proceed any further, hear me speak.

_Shouts within_


**All**  
_\\[Aside]_  
Speak, speak.

**MENENIUS**  
__\\[Awaking]_  
No, no; he'll __\\[ ]_  
And _\\[Censorinus,]_  
nobly named so, _Exit_

_Burthen _\\[dispersedly, within_

_Exeunt_

### SCENE II. The same: a room;

with a table in it,  
and chairs.

Lost without a name.

**SONG & DANCE**  
SONG.  
Hey, ho, & c.

Ghost

**of BUCKINGHAM**  
The last was I—that helped.  
ALL SERVING-MEN Here, here, sir; here, sir.

*Exeunt all, with
others.*
"""

TEXT = """\
First Citizen:
Before we proceed any further, hear me speak.

All:
Speak, speak.

MENENIUS:
No, no; he'll
And
nobly named so,

SONG & DANCE:
Hey, ho, &c.

Ghost of BUCKINGHAM:
The last was I--that helped.

ALL SERVING-MEN:
Here, here, sir; here, sir.

"""


def test_only_names_and_speeches_are_left() -> None:
    assert render_play(PLAY) == TEXT
