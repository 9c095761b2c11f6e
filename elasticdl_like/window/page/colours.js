// Which colour stands for which worker, everywhere on the page.

const NUM_COLOURS = 6;

/** Returns the name of a worker's colour in the style sheet. */
export const workerColour = (workerId) => `worker-${workerId % NUM_COLOURS}`;
