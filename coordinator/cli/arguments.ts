import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { messageFromUnknown, type Reason, Refusal } from '../../shared/errors.ts';
import { exits, type Ports } from './ports.ts';

/** What a command line of ours came to: the values of its options and the words beside them. */
export type Given<T extends ParseArgsOptionsConfig> = {
  readonly values: ReturnType<typeof parseArgs<{ options: T; allowPositionals: true }>>['values'];
  readonly words: readonly string[];
};

/** Where the table of reasons has a remedy for callers of REST. */
const remedies: Partial<Record<Reason, (xidrill: string) => string>> = {
  fault_unknown: (xidrill) => `${xidrill} faults lists them all`,
  parameter_invalid: (xidrill) => `${xidrill} faults FAULT lists its parameters`,
};

/**
 * Runs a command with its options. What node:util's parseArgs refuses, and what `run` refuses with a fault of the caller's, is a
 * usage error (exit code 2); other refusals are errors (4). `--help` prints the help.
 */
export async function withArguments<T extends ParseArgsOptionsConfig>(
  command: { readonly name: string; readonly help: (program: string) => string; readonly options: T },
  argv: readonly string[],
  ports: Ports,
  run: (given: Given<T>) => Promise<number>,
): Promise<number> {
  const { name, options } = command;
  const help = command.help(ports.program);
  if (argv.some((word) => word === '--help' || word === '-h')) {
    ports.print(help);
    return 0;
  }
  let given: Given<T>;
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
    given = { values, words: positionals };
  } catch (thrown) {
    ports.complain(`${name}: ${messageFromUnknown(thrown)}\n\n${help}`);
    return exits.usage;
  }
  try {
    return await run(given);
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const { allowed, kindServed } = thrown.details;
    const isMissing = thrown.reason === 'object_missing' && kindServed === false;
    const remedy = isMissing
      ? 'Xidrill is not installed in this cluster: install its chart, or: npm run -s crds | kubectl apply -f -'
      : (remedies[thrown.reason]?.(ports.program) ?? thrown.details.remedy);
    const lines = [
      `${name}: ${thrown.message}`,
      ...(remedy === undefined ? [] : [`  remedy: ${remedy}`]),
      ...(Array.isArray(allowed) && remedy === undefined ? [`  allowed: ${allowed.join(', ')}`] : []),
    ];
    ports.complain(`${lines.join('\n')}\n`);
    // The caller asked for something that there is not, or that cannot be.
    const isUsage = thrown.code === 'invalid_argument' || thrown.code === 'not_found';
    return isUsage && !isMissing ? exits.usage : exits.failed;
  }
}

/** Refuses with `malformed_request`, as a usage error. */
export function usage(message: string, remedy?: string): Refusal {
  return new Refusal('malformed_request', message, remedy === undefined ? {} : { remedy });
}
