/** Between two ticks of the measurement, milliseconds. */
const tickMs = 10;

/**
 * Starts to add up how late the timers of this process are. A promise in real time ("within two seconds") is kept on a machine that lets
 * the process run; where others take the processor, what they took is not the product's. The result is asked once, in milliseconds.
 */
export function measureLateness(): () => number {
  let lateMs = 0;
  let due = performance.now() + tickMs;
  const timer = setInterval(() => {
    const now = performance.now();
    lateMs += Math.max(0, now - due);
    due = now + tickMs;
  }, tickMs);
  return () => {
    clearInterval(timer);
    return lateMs + Math.max(0, performance.now() - due);
  };
}
