/**
 * DashScope's inference WebSocket, as far as all of its services have it in common (TTS provider protocol
 * reference, sections 9.1 to 9.4): the handshake, tasks of text frames one after the other on one socket, and
 * the words of a failure. What a task does is the service's.
 */
import type { Duplex } from 'node:stream';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import type { Alarm } from '../clock/clock.ts';
import type { Random } from '../random/random.ts';
import type { FaultTable } from './planted-fault.ts';
import {
  bearerKey,
  keepMessage,
  type OpenRequest,
  type ProviderService,
  replyJson,
  type ServiceServer,
  socketMessageBytesMax,
  type Upgrade,
  withoutKeys,
} from './provider-server.ts';
import { strayPage, strikeHandshake } from './wordless-faults.ts';

/** One task on a socket. It has a log entry of its own beside that of its connection. */
export interface DashScopeTask {
  readonly id: string;
  readonly entry: OpenRequest;
  /** Nothing more is sent, but the socket stays open. */
  readonly muted: boolean;
  start(): void;
  /** Takes a message of the task that does not begin it. */
  take(action: string | undefined, payload: object): void;
  /** Takes a binary frame; absent: the service takes text only. */
  hear?(audio: Buffer): void;
  /** Says that it has failed, in the service's words, and ends the connection. */
  fail(code: string, message: string): void;
  /** Forgets everything planned. */
  stop(outcome: 'answered' | 'aborted' | 'cut'): void;
}

/** What a task is made of. */
export interface TaskStart {
  readonly id: string;
  readonly payload: object;
  readonly entry: OpenRequest;
  /** The task's own draws. */
  readonly random: Random;
  readonly output: TaskOutput;
}

export interface TaskOutput {
  send(message: object): void;
  audio(bytes: Buffer): void;
  /** Sends something that is none of the protocol. */
  garble(): void;
  /** `task-finished` has been sent; the socket may serve the next task. */
  finished(): void;
  /** Nothing more comes, and the socket is closed: for example after `task-failed`. */
  closed(): void;
  cut(): void;
}

const path = '/api-ws/v1/inference';
const idleMaxUs = 60_000_000;

/** @param faults what can happen to a task; a fault of the key strikes the handshake */
export function dashScopeService(
  server: ServiceServer,
  faults: FaultTable,
  open: (start: TaskStart) => DashScopeTask,
): ProviderService {
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: socketMessageBytesMax,
  });
  const live = new Set<TaskSocket>();
  return {
    isCounted: () => false,
    answer: (exchange) => {
      exchange.entry.error = 'InvalidURL';
      replyJson(exchange, 404, {
        code: 'InvalidURL',
        message: 'This stand-in speaks over the WebSocket only.',
        request_id: exchange.random.uuid(),
      });
    },
    upgrade: (upgrade) => {
      if (!shakeHands(server, upgrade, faults)) return;
      const { incoming, stream, head, entry } = upgrade;
      sockets.handleUpgrade(incoming, stream, head, (socket) => {
        entry.status = 101;
        const tasks = new TaskSocket(server, faults, open, socket, stream, entry);
        live.add(tasks);
        socket.once('close', () => live.delete(tasks));
      });
    },
    close: () => {
      for (const tasks of live) tasks.abandon();
    },
  };
}

/** Refuses the upgrade and returns false when it will not do. */
function shakeHands(server: ServiceServer, upgrade: Upgrade, faults: FaultTable): boolean {
  const { url, entry, stream, incoming, random } = upgrade;
  const refuse = (status: number, code: string, message: string): false => {
    entry.error = code;
    const request_id = random.uuid();
    server.refuseUpgrade(stream, entry, status, { code, message, request_id });
    return false;
  };
  if (url.pathname.replace(/\/$/, '') !== path) return refuse(404, 'InvalidURL', 'url error');
  if (strikeHandshake(server, upgrade, faults)) return false;
  const planted = server.strikeUpgrade(entry, faults, 'auth');
  if (planted !== undefined || !server.accepts(bearerKey(incoming.headers.authorization))) {
    return refuse(401, 'InvalidApiKey', 'Invalid API-key provided.');
  }
  return true;
}

/** One connection: nothing, or one task, at a time. */
class TaskSocket {
  readonly #server: ServiceServer;
  readonly #faults: FaultTable;
  readonly #open: (start: TaskStart) => DashScopeTask;
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  readonly #entry: OpenRequest;
  #task: DashScopeTask | undefined;
  /** Messages that crossed the end of their task are late, not wrong. */
  #lastTaskId: string | undefined;
  #idle: Alarm | undefined;
  #over = false;

  constructor(
    server: ServiceServer,
    faults: FaultTable,
    open: (start: TaskStart) => DashScopeTask,
    socket: WebSocket,
    stream: Duplex,
    entry: OpenRequest,
  ) {
    this.#server = server;
    this.#faults = faults;
    this.#open = open;
    this.#socket = socket;
    this.#stream = stream;
    this.#entry = entry;
    socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    socket.on('error', () => {});
    socket.once('close', (code) => {
      entry.closeCode ??= code;
      this.#over = true;
      this.#idle?.cancel();
      this.#task?.stop('aborted');
      server.conclude(entry, code === 1000 || code === 1005 ? 'answered' : 'aborted');
    });
    this.#restartIdleTimer();
  }

  /** Breaks the connection at once. */
  abandon(): void {
    this.#task?.stop('aborted');
    this.#socket.terminate();
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    if (this.#over || this.#task?.muted === true) return;
    if (isBinary && this.#task?.hear !== undefined) {
      this.#task.hear(data as Buffer);
      return;
    }
    // It crossed the end of its task.
    if (isBinary && this.#task === undefined && this.#lastTaskId !== undefined) return;
    const text = data.toString();
    const message = isBinary ? undefined : parseMessage(text);
    const logged = { atUs: this.#server.options.clock.nowUs(), text: withoutKeys(text) };
    const { action, task_id: taskId } = message?.header ?? {};
    if (action === 'run-task' && taskId !== undefined && this.#task === undefined) {
      this.#run(taskId, message?.payload ?? {}, logged);
      return;
    }
    keepMessage(this.#task?.entry ?? this.#entry, logged);
    if (message === undefined) {
      this.#fail('', 'InvalidParameter', 'A message must be a JSON object with a header.');
    } else if (taskId === undefined) {
      const what = "Missing required parameter 'header.task_id'! Please follow the protocol!";
      this.#fail('', 'InvalidParameter', what);
    } else if (this.#task?.id === taskId && action !== 'run-task') {
      this.#task.take(action, message.payload ?? {});
    } else if (taskId !== this.#lastTaskId || action === 'run-task') {
      const what = `No task ${taskId} is running that could take ${action ?? 'no action'}.`;
      this.#fail(taskId, 'InvalidParameter', what);
    }
  }

  #run(id: string, payload: object, logged: OpenRequest['messages'][number]): void {
    this.#idle?.cancel();
    const { entry, random } = this.#server.openTask(this.#entry, this.#faults);
    keepMessage(entry, logged);
    const output: TaskOutput = {
      send: (message) => this.#socket.send(JSON.stringify(message)),
      audio: (bytes) => this.#socket.send(bytes, { binary: true }),
      garble: () => this.#socket.send(strayPage),
      finished: () => {
        this.#task = undefined;
        this.#lastTaskId = id;
        this.#restartIdleTimer();
      },
      closed: () => this.#close(),
      cut: () => {
        this.#over = true;
        this.#server.conclude(this.#entry, 'cut');
        // Frames written before arrive; a close frame never does.
        this.#stream.end(() => this.#socket.terminate());
      },
    };
    const task = this.#open({ id, payload, entry, random, output });
    this.#task = task;
    task.start();
  }

  /** A failure outside of any task, or one that ends the task that runs. */
  #fail(taskId: string, code: string, message: string): void {
    if (this.#task !== undefined) {
      this.#task.fail(code, message);
      return;
    }
    this.#entry.error = code;
    this.#socket.send(JSON.stringify(failureMessage(taskId, code, message)));
    this.#close();
  }

  #close(): void {
    this.#over = true;
    this.#idle?.cancel();
    this.#entry.closeCode = 1000;
    this.#server.conclude(this.#entry, 'answered');
    this.#socket.close(1000);
  }

  #restartIdleTimer(): void {
    this.#idle?.cancel();
    this.#idle = this.#server.options.clock.after(idleMaxUs, () => this.#close());
  }
}

interface ClientMessage {
  readonly header: { readonly action?: string; readonly task_id?: string };
  readonly payload: object | null;
}

function parseMessage(json: string): ClientMessage | undefined {
  try {
    const { header, payload } = JSON.parse(json) as { header?: unknown; payload?: unknown };
    if (typeof header !== 'object' || header === null) return undefined;
    const { action, task_id } = header as { action?: unknown; task_id?: unknown };
    return {
      header: {
        ...(typeof action === 'string' ? { action } : {}),
        ...(typeof task_id === 'string' && task_id !== '' ? { task_id } : {}),
      },
      payload: typeof payload === 'object' ? payload : null,
    };
  } catch {
    return undefined;
  }
}

/** A `task-failed` (section 9.3). */
export function failureMessage(taskId: string, code: string, message: string): object {
  const error = { error_code: code, error_message: message };
  return {
    header: { task_id: taskId, event: 'task-failed', ...error, attributes: {} },
    payload: {},
  };
}

/** What a `run-task` lacks that every service needs, in the words of a refusal. */
export function missingTaskParameter(
  payload: {
    readonly [Name in 'model' | 'task_group' | 'task' | 'function']?: unknown;
  },
): string | undefined {
  const missing = (['model', 'task_group', 'task', 'function'] as const).find(
    (name) => typeof payload[name] !== 'string' || payload[name] === '',
  );
  return missing === undefined
    ? undefined
    : `Missing required parameter 'payload.${missing}'! Please follow the protocol!`;
}
