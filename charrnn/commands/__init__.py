"""One file a command: compose the config, call the library, print the result."""

from charrnn.plugins import Command

COMMANDS = (
    Command(
        "preprocess",
        "charrnn.options.commands:PreprocessOptions",
        "charrnn.commands.preprocess:run",
    ),
    Command(
        "train",
        "charrnn.options.training:TrainOptions",
        "charrnn.commands.train:run",
        makes_folder=True,
    ),
    Command("runs", "charrnn.options.commands:RunsOptions", "charrnn.commands.runs:run"),
    Command("sample", "charrnn.options.commands:SampleOptions", "charrnn.commands.sample:run"),
    Command(
        "evaluate", "charrnn.options.commands:EvaluateOptions", "charrnn.commands.evaluate:run"
    ),
    Command("convert", "charrnn.options.commands:ConvertOptions", "charrnn.commands.convert:run"),
)
