/** Return the first place from `first` to `end` whose number is not below a value. */
export function findSorted(numbers, first, end, value) {
  while (first < end) {
    const middle = (first + end) >> 1;
    if (numbers[middle] < value) first = middle + 1;
    else end = middle;
  }
  return first;
}

/** Return the counts of a file's array, in which those of `least` and more are in another array. */
export function joinCounts(counts, many, least) {
  const joined = new Uint32Array(counts);
  let next = 0;
  for (let i = 0; i < joined.length; i++) { // faster than `from`
    if (joined[i] === least) joined[i] = many[next++];
  }
  return joined;
}
