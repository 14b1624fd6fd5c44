import type { BenchPart } from './bench-part.ts';

/** All parts of `bench`, in the order in which they are measured. */
export const benchParts: readonly BenchPart[] = [
  {
    name: 'speed',
    about: 'how fast virtual time runs, with empty and with filled caches',
    seconds: 30,
    load: async () => (await import('./simulation-speed.ts')).simulationSpeed,
  },
  {
    name: 'startup',
    about: 'how long the program takes to its help, and to the first event of a first conversation',
    seconds: 40,
    load: async () => (await import('./start-up.ts')).startUp,
  },
  {
    name: 'server',
    about: 'what the server adds between the provider’s audio and the board’s socket, one board',
    seconds: 60,
    load: async () => (await import('./server-latency.ts')).serverLatency,
  },
  {
    name: 'replay',
    about: 'how late the pieces of a replay are in real time',
    seconds: 150,
    load: async () => (await import('./replay-lateness.ts')).replayLateness,
  },
  {
    name: 'boards',
    about: 'how many boards a processor bears, and what one takes; --full: over sockets, too',
    seconds: 40,
    load: async () => (await import('./boards.ts')).boards,
  },
  {
    name: 'console',
    about: 'how late lines of a console arrive, and how soon a port that was away is read again',
    seconds: 30,
    load: async () => (await import('./console-arrival.ts')).consoleArrival,
  },
  {
    name: 'added',
    about:
      'what the server adds to the first sound at 1, 20 and 100 sessions over sockets, every end in a process of its own',
    seconds: 140,
    load: async () => (await import('./added-latency.ts')).addedLatency,
  },
  {
    name: 'isolation',
    about: 'whether a slow provider, or a board that reads nothing, delays the others over sockets',
    seconds: 80,
    load: async () => (await import('./isolation.ts')).isolation,
  },
  {
    name: 'compat',
    about: 'the first sound at the speaker against a server that behaves as the EchoKit server',
    seconds: 15,
    load: async () => (await import('./compat-answers.ts')).compatAnswers,
  },
  {
    name: 'frames',
    about: 'what shorter Opus packets would bring to the first sound, and what they cost in gaps',
    seconds: 20,
    load: async () => (await import('./first-frames.ts')).firstFrames,
  },
  {
    name: 'codec',
    about: 'how fast Opus is encoded and decoded, and sound is brought to 16 kHz',
    seconds: 15,
    load: async () => (await import('./codec-speed.ts')).codecSpeed,
  },
  {
    name: 'report',
    about: 'how long the reports of a run take',
    seconds: 20,
    load: async () => (await import('./report-time.ts')).reportTime,
  },
];
