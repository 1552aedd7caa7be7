/** What the page says about a training, in plain words. */

const KINDS = { text: "A text", list: "A list", code: "Code" };
const STATES = { waiting: "Waits", training: "Starts", stopped: "Stopped", ready: "Ready" };
const format = (number) => number.toLocaleString("en");

/** Return what kind of text it is, how long it is, and what network it gets. */
export function describeText({ kind, characters, minutes, network, missing = [] }) {
  const text = `${KINDS[kind]} of ${format(characters)} characters.`;
  const limit = (minutes ? ` It trains for ${formatMinutes(minutes)} at most.` : "")
    + (missing.length ? " The other text or model was deleted: it trains without." : "");
  if (!network) return `${text} The server chooses its network when it begins.${limit}`;
  const { kind: cell, num_layers: layers, hidden_size: units, steps } = network;
  return `${text} Its network (${cell.toUpperCase()}) has ${layers} ${layers > 1 ? "layers" : "layer"} `
    + `of ${units} units, and trains for ${format(steps)} steps.${limit}`;
}

/** Return the state of a training: its place in the queue, or how long it takes. */
export function describeState(training) {
  const { state, error, position, network, step, seconds_left: seconds } = training;
  if (state === "failed") {
    const [reason] = error.split("; "); // without its advice
    return `Failed: ${/\w=/.test(reason) ? "the log of the server says why" : reason}`;
  }
  if (state === "waiting") {
    if (training.has_model) return "Pauses: another text has its turn";
    return position > 1 ? `Waits, number ${position} in the queue` : "Waits, next in the queue";
  }
  if (state !== "training" || !network) return STATES[state];
  const time = seconds == null ? "" : `, ${formatSecondsLeft(seconds)}`;
  return `Trains: step ${format(step)} of ${format(network.steps)}${time}`;
}

export function formatSecondsLeft(seconds) {
  if (seconds < 50) return "less than a minute left";
  return `about ${formatMinutes(Math.round(seconds / 60) || 1)} left`;
}

function formatMinutes(minutes) {
  if (minutes < 1) return `${minutes * 60} seconds`;
  if (minutes > 90) return `${Math.round(minutes / 60)} hours`;
  return minutes === 1 ? "1 minute" : `${minutes} minutes`;
}
