#!/bin/sh
# How the runs beside this script were made, by charrnn of commit 890f135; see README.md.
#   sh make.sh PYTHON    from a checkout; PYTHON has the packages that this commit needs
# It works in /tmp/charrnn-old, whose paths are the ones that the runs record.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=/tmp/charrnn-old
rm -rf "$work"
mkdir -p "$work/source" "$work/continued"
git -C "$(git -C "$here" rev-parse --show-toplevel)" archive 890f135 | tar -x -C "$work/source"
cp "$here/text.txt" "$work"
cd "$work"
charrnn() { PYTHONPATH="$work/source" "$python" -m charrnn "$@"; }
python=$1

common="data.input_txt=text.txt trainer.accelerator=cpu trainer.precision=32-true trainer.threads=1
  logger=none callbacks.samples.length=20 data.val_frac=0.1 data.test_frac=0.05
  model.embedding_size=4 seed=3"

# ended in the middle of its second epoch
charrnn train hydra.run.dir=lstm $common \
  model=lstm model.hidden_size=5 model.num_layers=1 model.dropout=0.2 \
  optimizer=adam optimizer.lr=0.02 schedule=step schedule.decay_every=1 schedule.decay_factor=0.7 \
  data.batch_size=3 data.seq_length=6 validate_every=15 checkpoint_every=10 print_every=7 \
  trainer.max_steps=50

# interrupted by SIGTERM, at no step in particular; without validation
PYTHONPATH="$work/source" "$python" -m charrnn train hydra.run.dir=gru $common \
  model=gru model.hidden_size=6 model.num_layers=1 \
  optimizer=rmsprop optimizer.lr=0.01 schedule=cosine schedule.warmup_steps=5 \
  data.batch_size=2 data.seq_length=8 validate_every=0 checkpoint_every=100 print_every=200 \
  trainer.max_epochs=60 &
until [ -f gru/checkpoints/last.ckpt ]; do sleep 0.02; done
kill -TERM $!
wait $! || true

# ended with its second epoch
charrnn train hydra.run.dir=rnn $common \
  model=rnn model.hidden_size=5 model.num_layers=1 model.batchnorm=true \
  optimizer=adamw optimizer.weight_decay=0.02 schedule=constant schedule.warmup_steps=3 \
  callbacks=early_stopping callbacks.patience=6 callbacks.min_delta=0.001 \
  data.batch_size=4 data.seq_length=5 validate_every=20 checkpoint_every=20 print_every=10 \
  trainer.gradient_clip_val=1.0 trainer.gradient_clip_algorithm=norm trainer.max_epochs=2

# what each ends with when the same version goes on with a copy of it
cp -R lstm gru rnn continued
charrnn train resume=continued/lstm trainer.max_steps=130
charrnn train resume=continued/gru
charrnn train resume=continued/rnn trainer.max_epochs=5
for run in lstm gru rnn; do
  mkdir "$run/end"
  charrnn convert input="continued/$run/checkpoints/last.ckpt" output="$run/end/model.safetensors"
  cp "continued/$run/metrics.csv" "$run/end"
  rm -rf "$run/samples" "$run/.lock" gru/checkpoints/best.ckpt
  rm -rf "${here:?}/$run"
  cp -R "$run" "$here"
done
