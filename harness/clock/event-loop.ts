/**
 * One turn of Node's event loop: resolves after every promise job, `process.nextTick` and I/O
 * callback that was ready has run. The only use of `setImmediate` for simulation.
 */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
