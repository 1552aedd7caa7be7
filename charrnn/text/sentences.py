"""The marks that end a sentence."""

# Before these marks and a blank, a sentence ends: of Latin, Greek and Cyrillic, Arabic, Urdu,
# Armenian, Hindi, Ethiopic, Burmese and Khmer.
SPACED_MARKS = ".!?…؟۔։।॥።፧။។"
# After these marks, of Chinese and Japanese, a sentence ends without a blank.
UNSPACED_MARKS = "。．！？｡"
