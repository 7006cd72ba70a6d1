import type { LivePorts } from './follow.ts';

/** A command is loaded when it is asked for: `--version` has to answer at once. */
export type Command = {
  readonly name: string;
  /** What it does, in a line. */
  readonly does: string;
  /** Resolves with the function that runs it with its words and resolves with the exit code. */
  readonly load: () => Promise<(argv: readonly string[], ports: LivePorts) => Promise<number>>;
};

/** In the order in which the help lists them. */
export const commands: readonly Command[] = [
  {
    name: 'doctor',
    does: 'looks at every GPU node: is a fault detected, and is the node repaired? Only reads',
    load: async () => (await import('./doctor.ts')).runDoctor,
  },
  {
    name: 'why',
    does: 'explains what somebody did by hand; --live joins it with the cluster',
    load: async () => (await import('./why.ts')).runWhy,
  },
  {
    name: 'drill',
    does: 'injects a fault and shows the chain of links until the verdict',
    load: async () => (await import('./drill.ts')).runDrill,
  },
  {
    name: 'run',
    does: 'runs a suite of drills from a file, and writes reports',
    load: async () => (await import('./run.ts')).runRun,
  },
  {
    name: 'list',
    does: 'the experiments, the newest first',
    load: async () => (await import('./experiments.ts')).runList,
  },
  {
    name: 'show',
    does: 'one experiment: chain, verdict, explanation',
    load: async () => (await import('./experiments.ts')).runShow,
  },
  {
    name: 'watch',
    does: 'follows an experiment until its verdict',
    load: async () => (await import('./experiments.ts')).runWatch,
  },
  {
    name: 'report',
    does: 'everything about an experiment as a file: markdown, json, junit, html',
    load: async () => (await import('./experiments.ts')).runReport,
  },
  {
    name: 'abort',
    does: 'ends an experiment',
    load: async () => (await import('./experiments.ts')).runAbort,
  },
  {
    name: 'restore',
    does: 'takes back what an experiment left on its nodes',
    load: async () => (await import('./experiments.ts')).runRestore,
  },
  {
    name: 'faults',
    does: 'what can be injected; needs no cluster',
    load: async () => (await import('./faults.ts')).runFaults,
  },
  {
    name: 'nodes',
    does: 'the nodes, and which of them may be drilled',
    load: async () => (await import('./nodes.ts')).runNodes,
  },
  {
    name: 'coverage',
    does: 'which faults are proven on which pools of nodes, and how fast',
    load: async () => (await import('./coverage.ts')).runCoverage,
  },
  {
    name: 'killswitch',
    does: 'shows, engages or releases the kill switch',
    load: async () => (await import('./kill-switch.ts')).runKillSwitch,
  },
  {
    name: 'page',
    does: 'the page in a browser, on loopback, with your own rights',
    load: async () => (await import('./page.ts')).runPage,
  },
  {
    name: 'version',
    does: 'of this command line, and of what runs in the cluster',
    load: async () => (await import('./nodes.ts')).runVersion,
  },
  {
    name: 'completion',
    does: 'for bash, zsh and fish',
    load: async () => {
      const { runCompletion } = await import('./completion.ts');
      return (argv, ports) =>
        runCompletion(
          commands.map((one) => one.name),
          argv,
          ports,
        );
    },
  },
];

/** Usage of all of them, as --help prints it. */
export const help = (xidrill: string) => `usage: ${xidrill} COMMAND [options]

${commands.map(({ name, does }) => `  ${name.padEnd(10)} ${does}`).join('\n')}

${xidrill} COMMAND --help shows the options of a command, ${xidrill} --version the version.
`;
