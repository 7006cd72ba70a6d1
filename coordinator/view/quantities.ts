/** Suffixes of a quantity that counts devices; bigger ones are for bytes. */
const scales: Readonly<Record<string, number>> = { '': 1, m: 1e-3, k: 1e3, M: 1e6, Ki: 1024, Mi: 1024 ** 2 };

/**
 * The quantities of a resource list. The API server writes texts in their shortest form (`4`, and `1k` for 1,000); files that people
 * keep have numbers as well, which it takes (apimachinery pkg/api/resource/quantity.go). Others are left out.
 */
export function quantities(resources: unknown): Readonly<Record<string, number>> {
  if (resources === null || typeof resources !== 'object') return {};
  return Object.fromEntries(
    Object.entries(resources)
      .map(([name, given]) => [name, quantityFrom(given)] as const)
      .filter(([, count]) => Number.isFinite(count)),
  );
}

function quantityFrom(given: unknown): number {
  if (typeof given === 'number') return given;
  const [, digits, suffix = ''] =
    /^(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(m|k|M|Ki|Mi)?$/.exec(typeof given === 'string' ? given : '') ?? [];
  return Number(digits) * (scales[suffix] ?? Number.NaN);
}
