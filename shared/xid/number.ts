/**
 * The highest Xid number that a request may name, on every surface and in every method alike. NVIDIA's catalogue of
 * Xids ends at 176 (docs.nvidia.com/deploy/xid-errors); the rest is room for drivers to come.
 */
export const highestXid = 255;
