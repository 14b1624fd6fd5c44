/**
 * What EchoKit reads in its `config.toml` beside `[tts]`: every key, other name and default
 * (EchoKit device protocol reference, sections 9.1, 9.2, 9.4 and 9.5), and what of it is hardly meant
 * (section 9.6).
 */
import type { ConfigVariant } from '../../adapters/config-table.ts';
import type { ConfigKey } from '../../adapters/index.ts';

export type Keys = Readonly<Record<string, ConfigKey>>;

export interface SectionPlatform extends ConfigVariant {
  readonly keys: Keys;
}

/** The top level. The tables are only named here; each has keys of its own below. */
export const fileKeys = {
  addr: { kind: 'text', about: 'address to listen on, for example "0.0.0.0:8080"' },
  hello_wav: { kind: 'text', about: 'WAV file that a board plays when it has connected' },
  record: { kind: 'table', about: 'recordings of boards' },
  asr: { kind: 'table', about: 'speech recognition' },
  tts: { kind: 'table', about: 'text to speech' },
  llm: { kind: 'table', about: 'language model' },
  gemini: { kind: 'table', about: 'Gemini as backend' },
  claude: { kind: 'table', about: 'an external helper as backend' },
  providers: { kind: 'table', about: 'more tables like [tts], for this program only' },
} as const satisfies Keys;

export type SectionName = Exclude<keyof typeof fileKeys, 'addr' | 'hello_wav'>;

const web = ['https', 'http'] as const;
const sockets = ['wss', 'ws'] as const;

const deprecatedDetector = 'is deprecated: the detector of [asr.vad] is built in';

const vadKeys = {
  threshold: { kind: 'number', about: 'probability above which is speech', default: '0.5' },
  neg_threshold: { kind: 'number', about: 'below which is silence; default: threshold - 0.15' },
  min_speech_duration_ms: { kind: 'whole', about: 'least length of speech', default: '400' },
  max_silence_duration_ms: { kind: 'whole', about: 'silence that leaves speech', default: '200' },
  hangover_ms: { kind: 'whole', about: 'silence that ends the turn', default: '500' },
  vad_url: { kind: 'text', about: 'deprecated', warning: deprecatedDetector },
  vad_realtime_url: { kind: 'text', about: 'deprecated', warning: deprecatedDetector },
} as const satisfies Keys;

export const asrPlatforms: readonly SectionPlatform[] = [
  {
    names: ['whisper', 'Whisper', 'openai', 'OpenAI'],
    keys: {
      url: { kind: 'url', about: 'transcription endpoint', required: true, schemes: web },
      api_key: { kind: 'text', about: 'API key', secret: true },
      lang: { kind: 'text', about: 'language that is spoken' },
      model: { kind: 'text', about: 'model name' },
      prompt: { kind: 'text', about: 'words that are likely' },
      vad: { kind: 'table', about: 'when the user has finished', keys: vadKeys },
    },
  },
  {
    names: ['paraformer_v2', 'ParaformerV2'],
    keys: {
      url: {
        kind: 'url',
        about: 'inference WebSocket',
        default: 'wss://dashscope.aliyuncs.com/api-ws/v1/inference',
        schemes: sockets,
      },
      paraformer_token: { kind: 'text', about: 'API key', required: true, secret: true },
    },
  },
];

/** A clause about an address. */
export const fetchedPrompt = 'is fetched while a board connects, and all other boards wait for it';

const promptKeys = {
  role: {
    kind: 'text',
    about: 'who speaks',
    choices: ['system', 'user', 'assistant', 'tool'],
    absent: 'is missing, which means "assistant"',
  },
  content: { kind: 'text', about: 'what is said' },
} as const satisfies Keys;

const toolServerKeys = {
  server: { kind: 'text', about: 'address of the MCP server', required: true },
  type: {
    kind: 'text',
    about: 'transport',
    choices: ['sse', 'http_streamable'],
    default: 'http_streamable',
  },
  api_key: { kind: 'text', about: 'never sent', secret: true, warning: 'is never sent' },
  call_mcp_message: { kind: 'text', about: 'what is said while a tool is called' },
} as const satisfies Keys;

const modelKeys = {
  api_key: { kind: 'text', about: 'API key, sent as bearer token', secret: true },
  sys_prompts: { kind: 'tables', about: 'system prompts', keys: promptKeys },
  extra: { kind: 'table', about: 'merged into the request' },
} as const satisfies Keys;

export const llmPlatforms: readonly SectionPlatform[] = [
  {
    names: ['openai_chat', 'OpenAIChat'],
    keys: {
      ...modelKeys,
      llm_chat_url: {
        kind: 'url',
        about: 'chat completions endpoint',
        required: true,
        aliases: ['url'],
        schemes: web,
      },
      model: { kind: 'text', about: 'model name; empty: not sent' },
      history: {
        kind: 'whole',
        about: 'messages of the conversation that are kept',
        required: true,
        doubts: [
          {
            when: /^0$/,
            says: 'is 0: what the user says is dropped at once, and the model sees system prompts only',
            hint: 'write history = 1 or more',
          },
        ],
      },
      dynamic_prompts: { kind: 'tables', about: 'start of the history', keys: promptKeys },
      prompts_url: {
        kind: 'text',
        about: 'where prompts are fetched',
        doubts: [{ when: /./, says: `names an address that ${fetchedPrompt}` }],
      },
      mcp_server: { kind: 'tables', about: 'MCP servers', keys: toolServerKeys },
    },
  },
  {
    names: ['openai_responses', 'OpenAIResponses'],
    keys: {
      ...modelKeys,
      llm_responses_url: {
        kind: 'url',
        about: 'responses endpoint',
        aliases: ['url'],
        default: 'https://api.openai.com/v1/responses',
        schemes: web,
      },
      model: { kind: 'text', about: 'model name', default: 'gpt-4.1' },
      instructions: {
        kind: 'text',
        about: 'system prompt',
        default: 'You are a helpful assistant.',
      },
      mcp_server: {
        kind: 'tables',
        about: 'MCP servers',
        keys: toolServerKeys,
        warning: 'is read but not loaded by this platform',
      },
    },
  },
];

export const geminiKeys = {
  api_key: { kind: 'text', about: 'API key', required: true, secret: true },
  model: { kind: 'text', about: 'model name', default: 'models/gemini-2.0-flash-exp' },
  sys_prompts: { kind: 'tables', about: 'system prompts', keys: promptKeys },
} as const satisfies Keys;

export const claudeKeys = {
  url: {
    kind: 'url',
    about: "WebSocket of the helper; the board's id is appended",
    required: true,
    schemes: sockets,
  },
} as const satisfies Keys;

export const recordKeys = {
  callback_url: { kind: 'url', about: 'what is called after a recording', schemes: web },
} as const satisfies Keys;
