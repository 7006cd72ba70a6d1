import Type, { type Static } from 'typebox';

const orNull = { description: 'null: NVML does not support it on this GPU; see `notes`' };

/** One GPU as NVML sees it. Nothing here is joined by position: UUID and PCI address are the identity. */
export const GpuFacts = Type.Object(
  {
    index: Type.Integer({ description: 'NVML index; not the DCGM id, not the minor' }),
    uuid: Type.String({ description: 'GPU-…' }),
    pci: Type.String({ description: 'as NVML spells it: 00000000:3B:00.0' }),
    minor: Type.Union([Type.Integer(), Type.Null()], {
      description: 'the number in /dev/nvidiaN; null: NVML does not report it, see `notes`',
    }),
    name: Type.String(),
    driverVersion: Type.String(),
    temperatureCelsius: Type.Union([Type.Integer(), Type.Null()], orNull),
    powerWatts: Type.Union([Type.Number(), Type.Null()], orNull),
    smClockMhz: Type.Union([Type.Integer(), Type.Null()], orNull),
    memoryClockMhz: Type.Union([Type.Integer(), Type.Null()], orNull),
    ecc: Type.Union(
      [
        Type.Object({
          enabled: Type.Boolean(),
          volatileCorrected: Type.Integer({ description: 'since the driver was loaded' }),
          volatileUncorrected: Type.Integer(),
          aggregateCorrected: Type.Integer({ description: 'over the life of the board' }),
          aggregateUncorrected: Type.Integer(),
        }),
        Type.Null(),
      ],
      orNull,
    ),
    remappedRows: Type.Union(
      [
        Type.Object({
          correctable: Type.Integer(),
          uncorrectable: Type.Integer(),
          pending: Type.Boolean(),
          failed: Type.Boolean(),
        }),
        Type.Null(),
      ],
      orNull,
    ),
    migEnabled: Type.Union([Type.Boolean(), Type.Null()], orNull),
    notes: Type.Array(Type.String(), {
      description: 'which value is missing and what NVML answered instead',
    }),
  },
  { $id: 'GpuFacts', additionalProperties: false },
);
export type GpuFacts = Static<typeof GpuFacts>;

/**
 * What an engine reports of its GPUs beside those that it can name. Optional, because an older agent leaves them out.
 */
const discoveredGpus = {
  unreadableGpus: Type.Optional(
    Type.Array(
      Type.Object({
        id: Type.Integer({ description: "the engine's own number" }),
        because: Type.String({ description: "dcgmi's words in place of the GPU" }),
        lost: Type.Boolean({ description: 'DCGM answers that the GPU is lost (DCGM_ST_GPU_IS_LOST)' }),
      }),
      { description: 'GPUs that the engine counts but can neither address nor name' },
    ),
  ),
  inactiveGpus: Type.Optional(
    Type.String({ description: "dcgmi's note that the engine knows further GPUs, which are not active" }),
  ),
  gpuListIncomplete: Type.Optional(
    Type.String({ description: 'why the list of GPUs may lack some; absent: it was read to its end' }),
  ),
};
const DiscoveredGpus = Type.Object(discoveredGpus);
/** What `dcgmi discovery -l` shows beside the GPUs that it names. */
export type DiscoveredGpus = Static<typeof DiscoveredGpus>;

/** A process that holds a DCGM host engine, found through /proc. */
export const HostEngineFacts = Type.Object(
  {
    pid: Type.Integer(),
    commandLine: Type.Array(Type.String()),
    executable: Type.String({ description: "path in the process's own mount namespace" }),
    container: Type.Union([Type.String(), Type.Null()], {
      description: 'container id, null for a host process',
    }),
    podUid: Type.Union([Type.String(), Type.Null()]),
    pod: Type.Optional(
      Type.String({ description: 'namespace/name; absent: not known, in none, or an older agent' }),
    ),
    untrusted: Type.Optional(
      Type.String({
        description:
          'why it does not count as an engine of the monitoring agent: it is not asked and never written to; absent: it does, or an older agent',
      }),
    ),
    address: Type.String({ description: '127.0.0.1:5555 or unix:///path, as dcgmi --host takes it' }),
    listening: Type.Boolean({ description: 'the address is bound by this process' }),
    version: Type.Union([Type.String(), Type.Null()]),
    dcgmi: Type.Union([Type.String(), Type.Null()], { description: 'the client used for it' }),
    gpus: Type.Array(
      Type.Object({ id: Type.Integer(), name: Type.String(), pci: Type.String(), uuid: Type.String() }),
      { description: 'those with an address or a UUID; what the engine does not know of one is empty' },
    ),
    ...discoveredGpus,
    nma: Type.Object(
      {
        listening: Type.Boolean({ description: 'the monitoring agent watches this engine now' }),
        evidence: Type.String({ description: 'field group and watchers that show it' }),
        answered: Type.Optional(
          Type.Boolean({
            description: 'the engine was asked and answered; absent: an older agent, not known',
          }),
        ),
      },
      { description: 'dcgm.md 1.9: field group `watch` {112,856,857,170,174}, watchers on 856' },
    ),
    problems: Type.Array(Type.String(), { description: 'what could not be found out, and why' }),
    agentLacks: Type.Optional(
      Type.String({
        description:
          'what the agent itself lacks to ask this engine; absent: whatever is missing is the engine’s',
      }),
    ),
  },
  { $id: 'HostEngineFacts', additionalProperties: false },
);
export type HostEngineFacts = Static<typeof HostEngineFacts>;

/** One thing that the node can be drilled with, or why it cannot. */
export const Capability = Type.Object(
  {
    name: Type.Enum(['kernel-log', 'journal', 'log-files', 'dcgm', 'host-engine', 'nvml'], {
      description: 'a surface that can be written on, or NVML',
    }),
    available: Type.Boolean(),
    because: Type.Optional(Type.String({ description: 'why not, and what would help' })),
  },
  { additionalProperties: false },
);
export type Capability = Static<typeof Capability>;

/** One thing that the agent itself lacks on its node: no finding about the node, its engines or the monitoring agent. */
export const AgentLack = Type.Object(
  {
    means: Type.Enum(
      ['nsenter', 'dcgmi', 'nvml', 'journal', 'host-pid', 'host-root', 'kernel-log', 'rights'],
      {
        description:
          'host-pid: it sees no process of the host; host-root: it cannot read the files of the host; nvml: its library; journal: what reads it back',
      },
    ),
    because: Type.String({ description: 'how that shows' }),
    remedy: Type.String({ description: 'what gives it, in the words of the chart' }),
  },
  { $id: 'AgentLack', additionalProperties: false },
);
export type AgentLack = Static<typeof AgentLack>;

/** A file of the node that the monitoring agent tails. */
export const LogFileFacts = Type.Object(
  {
    path: Type.String(),
    state: Type.Enum(['ready', 'missing', 'unusable']),
    because: Type.Optional(Type.String({ description: 'why nothing can be appended' })),
    remedy: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
);
export type LogFileFacts = Static<typeof LogFileFacts>;

/** One GPU under all the numbers that it goes by, joined by UUID or PCI address; an unknown one of these is empty. */
export const GpuIdentities = Type.Object(
  {
    uuid: Type.String(),
    pci: Type.String({ description: 'as NVML spells it: 00000000:3B:00.0' }),
    nvmlIndex: Type.Union([Type.Integer(), Type.Null()], { description: 'null: NVML does not list it' }),
    minor: Type.Union([Type.Integer(), Type.Null()]),
    dcgm: Type.Array(Type.Object({ enginePid: Type.Integer(), gpuId: Type.Integer() }), {
      description: 'its id in each host engine that lists it',
    }),
    problem: Type.Optional(
      Type.String({ description: 'who lacks this GPU, or reports it differently from the others' }),
    ),
  },
  { additionalProperties: false },
);
export type GpuIdentities = Static<typeof GpuIdentities>;

/** The answer of `GetInventory`: everything an agent knows of its node without writing. */
export const Inventory = Type.Object(
  {
    node: Type.String(),
    agentVersion: Type.String(),
    armed: Type.Boolean(),
    optIn: Type.Optional(
      Type.Object(
        {
          given: Type.Boolean(),
          because: Type.Optional(Type.String({ description: 'why not' })),
          remedy: Type.Optional(Type.String({ description: 'how the owner of the node gives it' })),
        },
        {
          additionalProperties: false,
          description:
            'the consent of the node’s owner, a file on the node (--opt-in-file); absent: the agent asks for none, or is an older one',
        },
      ),
    ),
    caller: Type.Optional(
      Type.Object(
        {
          user: Type.Union([Type.String(), Type.Null()], { description: 'null: callers have no names' }),
          coordinator: Type.Union([Type.String(), Type.Null()], {
            description: 'the user that may inject without a policy (--coordinator-user); null: nobody',
          }),
          methods: Type.Array(Type.String(), {
            description: 'what the caller may do beside reading and stopping, on some surface at least',
          }),
          because: Type.Optional(Type.String({ description: 'why it may do nothing' })),
          remedy: Type.Optional(Type.String()),
        },
        {
          additionalProperties: false,
          description:
            'what the agent lets this very caller do; absent: everything that its right allows, or an older agent',
        },
      ),
    ),
    bootId: Type.Union([Type.String(), Type.Null()]),
    architecture: Type.String(),
    driverVersion: Type.Union([Type.String(), Type.Null()]),
    capabilities: Type.Array(Capability),
    gpus: Type.Array(GpuFacts),
    engines: Type.Array(HostEngineFacts),
    identities: Type.Array(GpuIdentities),
    logFiles: Type.Array(LogFileFacts),
    agentLacks: Type.Optional(
      Type.Array(AgentLack, {
        description: 'what the agent itself lacks; empty: nothing that shows; absent: an older agent',
      }),
    ),
  },
  { $id: 'Inventory', additionalProperties: false },
);
export type Inventory = Static<typeof Inventory>;
