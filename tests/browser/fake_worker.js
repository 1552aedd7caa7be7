// An engine that writes what a test tells it to. `generate` changes its answers, and returns the
// requests since the last change.

const state = {
  texts: [" first words.", " second one.", " a third!"],
  delay: 0, // milliseconds between pieces
  piece: 1000, // characters
  knowsWords: true,
  words: { " second": -0.5, ",": -1.6, " sad": -3, "s": -0.1 },
  lines: [],
  copied: "copied from the training text",
  surprising: "!",
  refusal: null,
};
const jobs = [];
let asked = [];

const methods = {
  isSupported: () => true,
  open: () => ({
    about: { title: "Verse", licence: "", is_code: false, is_list: false },
    sampling: { temperature: 0.8, dry_multiplier: 0 },
    knowsWords: state.knowsWords,
    hasText: true,
    vocabulary: [],
  }),
  generate(changes) {
    const requests = asked;
    asked = [];
    Object.assign(state, changes);
    return requests;
  },
  start(request) {
    if (state.refusal) throw new Error(state.refusal);
    asked.push(request);
    return jobs.push({ ...request, length: 0 }) - 1;
  },
  async write(number) {
    const job = jobs[number];
    await new Promise((resolve) => setTimeout(resolve, state.delay));
    job.length += state.piece;
    const all = Array.from({ length: job.n }, (_, index) => state.texts[index % state.texts.length]);
    const texts = all.map((text) => text.slice(0, Math.min(job.length, job.max_tokens)));
    const isDone = all.every(({ length }) => Math.min(length, job.max_tokens) <= job.length);
    return { texts, stopped: job.stop && isDone ? [...texts.keys()] : [], isDone };
  },
  stop() {},
  findSurprise: (text) => Float32Array.from(text, (each) => (each === state.surprising ? 9 : 0)),
  findNextWords: () => Object.entries(state.words).map(([text, logprob]) => ({ text, logprob })),
  findCopies(text) {
    const start = text.indexOf(state.copied);
    return start < 0 ? [] : [[start, start + state.copied.length]];
  },
  findTrainingLines: (lines) => [...lines.keys()].filter((n) => state.lines.includes(lines[n])),
};

onmessage = async ({ data: { id, method, args } }) => {
  try {
    postMessage({ id, result: await methods[method](...args) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
