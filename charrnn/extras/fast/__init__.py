"""The compiled engine, and int8: how a long text is written fast."""
