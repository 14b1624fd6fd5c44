/** The configuration with which an EchoKit server uses the stand-ins that run on this machine. */
import { stringify } from 'smol-toml';
import type { DialogueService } from '../stand-ins/stand-in.ts';

type Table = Readonly<Record<string, unknown>>;

export interface StandInConfig {
  /** `http://…` or `ws://…` without a path, of the services beside speech that run. */
  readonly dialogue: Partial<Readonly<Record<DialogueService, string>>>;
  /** `[tts]` tables with local URLs; the first is the one EchoKit gets. */
  readonly speech: readonly (readonly [platform: string, table: Table])[];
}

const key = 'sk_stand_in';

/**
 * A whole `config.toml`: EchoKit reads `[tts]`, and the tables `[providers.…]` are there to take its
 * name, or for this program's own `--config`.
 */
export function renderStandInConfig({ dialogue, speech }: StandInConfig): string {
  const { chat, transcription, paraformer, 'text-optimization': optimization } = dialogue;
  const [first, ...others] = speech;
  const complete = chat !== undefined && transcription !== undefined && first !== undefined;
  return [
    complete
      ? comment('A complete config.toml for an EchoKit server, which then needs no other machine.')
      : comment('A part of a config.toml for an EchoKit server: not all stand-ins are running.'),
    'addr = "0.0.0.0:8080"',
    '',
    ...(transcription === undefined ? [] : recognition(transcription)),
    ...(paraformer === undefined ? [] : liveRecognition(paraformer)),
    ...(chat === undefined ? [] : languageModel(chat)),
    ...(first === undefined ? [] : [comment('Speech.'), toml({ tts: first[1] })]),
    ...(others.length === 0
      ? []
      : [
          comment(
            'The other platforms. EchoKit reads [tts] alone: to speak with one of these, give it that name',
            'and take the section above out.',
          ),
          ...others.map(([platform, table]) => toml({ providers: { [platform]: table } })),
        ]),
    ...(optimization === undefined ? [] : textOptimization(optimization)),
  ].join('\n');
}

function recognition(address: string): string[] {
  const asr = {
    platform: 'whisper',
    url: `${address}/v1/audio/transcriptions`,
    api_key: key,
    model: 'whisper-1',
    lang: 'en',
  };
  return [comment('Recognition: understands what the scenario says, turn by turn.'), toml({ asr })];
}

function liveRecognition(address: string): string[] {
  return [
    comment(
      'Recognition while the user speaks, in the place of the section above:',
      '',
      '[asr]',
      'platform = "paraformer_v2"',
      `url = "${address}/api-ws/v1/inference"`,
      `paraformer_token = "${key}"`,
    ),
    '',
  ];
}

function languageModel(address: string): string[] {
  const llm = {
    platform: 'openai_chat',
    url: `${address}/v1/chat/completions`,
    api_key: key,
    model: 'gpt-4o-mini',
    history: 10,
    sys_prompts: [{ role: 'system', content: 'You are a helpful assistant.' }],
  };
  return [
    comment(
      'Language model: answers what the scenario says. With platform = "openai_responses" its url is',
      `${address}/v1/responses.`,
    ),
    toml({ llm }),
  ];
}

function textOptimization(address: string): string[] {
  return [
    comment(
      'For gsv and stream_gsv, a model that rewrites each sentence before it is spoken. Below [tts]:',
      '',
      '[tts.text_optimization]',
      `url = "${address}/v1/chat/completions"`,
      `api_key = "${key}"`,
      'model = "gpt-4o-mini"',
    ),
    '',
  ];
}

function comment(...lines: string[]): string {
  return lines.map((line) => `# ${line}`.trimEnd()).join('\n');
}

/** With one empty line behind it. */
function toml(table: Table): string {
  return `${stringify(table).trim()}\n`;
}
