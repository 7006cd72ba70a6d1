import Type from 'typebox';
import { Check, Errors } from 'typebox/value';
import { parsePci } from '../../shared/pci.ts';
import { GpuFacts } from '../../shared/schemas/inventory.ts';
import type { NvmlMessage } from './messages.ts';

/** Characters of a message. The facts of 32 GPUs with a note for each value need a sixth of it. */
const longestMessage = 512 * 1024;
/** Messages to one request. 32 GPUs with all of their calls need 600. */
const mostMessages = 10_000;

const Text = (maxLength: number) => Type.String({ maxLength });
const closed = { additionalProperties: false };
const Message = Type.Union([
  Type.Object({ id: Type.Integer(), calling: Text(256) }, closed),
  Type.Object({ id: Type.Integer(), answer: Type.Unknown() }, closed),
]);
const Failed = Type.Object(
  {
    failure: Type.Union([
      Type.Object({ kind: Type.Literal('library'), message: Text(16_384) }, closed),
      Type.Object({ kind: Type.Literal('nvml'), call: Text(256), code: Type.Integer() }, closed),
      Type.Object({ kind: Type.Literal('defect'), message: Text(16_384) }, closed),
    ]),
  },
  closed,
);
const Facts = Type.Object(
  { driverVersion: Text(256), gpus: Type.Array(GpuFacts, { maxItems: 256 }) },
  closed,
);

/** Takes what the child wrote, piece by piece. */
export type NvmlChannel = {
  /** Bytes of the channel as they came. */
  read(piece: string): void;
  /** A new request: what may come from now on is counted anew. */
  restart(): void;
};

/**
 * One JSON document a line. A plain pipe and not Node's own channel, whose parser throws in the parent, out of anybody's reach, when
 * native code in the child writes to its descriptor (lib/internal/child_process/serialization.js).
 * `onGarbage` is called once, with what was wrong; nothing that comes behind it is read.
 */
export function createNvmlChannel(options: {
  readonly onMessage: (message: NvmlMessage) => void;
  readonly onGarbage: (because: string) => void;
}): NvmlChannel {
  let rest = '';
  let messages = 0;
  let isBroken = false;

  function garbage(because: string): void {
    isBroken = true;
    rest = '';
    options.onGarbage(because);
  }

  return {
    restart() {
      messages = 0;
    },
    read(piece) {
      if (isBroken) return;
      const lines = (rest + piece).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        messages += 1;
        if (messages > mostMessages) return garbage(`more than ${mostMessages} messages to one request`);
        const message = parseNvmlMessage(line);
        if ('because' in message) return garbage(message.because);
        options.onMessage(message);
      }
      if (rest.length > longestMessage) garbage(`a message of more than ${longestMessage} characters`);
    },
  };
}

/** One line of the channel, or what is wrong with it. */
export function parseNvmlMessage(line: string): NvmlMessage | { readonly because: string } {
  if (line.length > longestMessage) return { because: `a message of ${line.length} characters` };
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { because: `no JSON: ${JSON.stringify(line.slice(0, 100))}` };
  }
  if (!Check(Message, value)) return { because: `no message: ${JSON.stringify(line.slice(0, 100))}` };
  const message = value as { readonly id: number; readonly answer?: unknown };
  const wrong = 'answer' in message ? wrongAnswer(message.answer) : undefined;
  return wrong === undefined
    ? (message as NvmlMessage)
    : { because: `an answer of an unknown form: ${wrong}` };
}

function wrongAnswer(answer: unknown): string | undefined {
  if (Check(Failed, answer)) return undefined;
  if (!Check(Facts, answer)) {
    const isFailure = typeof answer === 'object' && answer !== null && Object.hasOwn(answer, 'failure');
    const [first] = Errors(isFailure ? Failed : Facts, answer);
    return first === undefined ? 'not known why' : `${first.instancePath || 'it'} ${first.message}`;
  }
  const { gpus } = answer;
  if (new Set(gpus.map(({ index }) => index)).size !== gpus.length) return 'two GPUs have one index';
  const odd = gpus.find(({ pci }) => pci !== '' && !isAddress(pci));
  return odd === undefined ? undefined : `${JSON.stringify(odd.pci.slice(0, 64))} is no PCI address`;
}

function isAddress(text: string): boolean {
  try {
    parsePci(text);
    return true;
  } catch {
    return false;
  }
}
