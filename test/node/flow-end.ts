import { createSocket } from 'node:dgram';
import { createServer, connect as tcpConnect } from 'node:net';
import { createInterface } from 'node:readline';

/**
 * One end of connections, in the network namespace in which it is started: a line of JSON on standard input is a question,
 * and the answer is one on standard output. `listen` is answered when all of it is open, `try` with whether each came about.
 */
export type Socket = {
  readonly address: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
  /** The own address to connect from, where there are several. */
  readonly from?: string;
};
export type Question = { readonly listen: readonly Socket[] } | { readonly try: readonly Socket[] };

/** Far above what a busy machine needs: a flow that is not allowed is refused, or would never be answered. */
const patienceMs = 3_000;
const word = Buffer.from('xidrill');

for await (const line of createInterface(process.stdin)) {
  const question = JSON.parse(line) as Question;
  const answer =
    'listen' in question
      ? await Promise.all(question.listen.map(listen))
      : await Promise.all(question.try.map(comesAbout));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);

function listen({ address, port, protocol }: Socket): Promise<boolean> {
  return new Promise((resolve, reject) => {
    if (protocol === 'TCP') {
      const server = createServer((socket) => socket.on('error', () => undefined).end(word));
      server.once('error', reject).listen({ host: address, port }, () => resolve(true));
      return;
    }
    const socket = createSocket('udp4');
    socket.on('message', (_message, from) => socket.send(word, from.port, from.address));
    socket.once('error', reject).bind(port, address, () => resolve(true));
  });
}

/** TCP: the connection is there. UDP: it was answered. */
function comesAbout({ address, port, protocol, from }: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const giveUp = setTimeout(() => end(false), patienceMs);
    let close = () => {};
    const end = (result: boolean) => {
      clearTimeout(giveUp);
      close();
      resolve(result);
    };
    if (protocol === 'TCP') {
      const own = from === undefined ? {} : { localAddress: from };
      const socket = tcpConnect({ host: address, port, ...own });
      close = () => socket.destroy();
      socket.once('error', () => end(false)).once('connect', () => end(true));
      return;
    }
    const socket = createSocket('udp4');
    close = () => socket.close();
    // Connected, so that a refusal is an error of the socket.
    socket.once('error', () => end(false)).once('message', () => end(true));
    socket.connect(port, address, () => socket.send(word));
  });
}
