"""One file a command: compose the config, call the library, print the result."""

from charrnn.plugins import Command

COMMANDS = (
    Command(
        "preprocess", "charrnn.cli.options:PreprocessOptions", "charrnn.commands.preprocess:run"
    ),
    Command("train", "charrnn.cli.options:TrainOptions", "charrnn.commands.train:run"),
    Command("runs", "charrnn.cli.options:RunsOptions", "charrnn.commands.runs:run"),
    Command(
        "tensorboard", "charrnn.cli.options:TensorboardOptions", "charrnn.commands.tensorboard:run"
    ),
    Command("sample", "charrnn.cli.model_options:SampleOptions", "charrnn.commands.sample:run"),
    Command(
        "evaluate", "charrnn.cli.model_options:EvaluateOptions", "charrnn.commands.evaluate:run"
    ),
    Command("score", "charrnn.cli.model_options:ScoreOptions", "charrnn.commands.score:run"),
    Command("convert", "charrnn.cli.model_options:ConvertOptions", "charrnn.commands.convert:run"),
)
