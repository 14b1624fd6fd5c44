import { openDialogue } from './elevenlabs-dialogue.ts';
import { HttpSynthesis, isHttpSpeech } from './elevenlabs-http.ts';
import { openMultiStreamInput } from './elevenlabs-multi-stream-input.ts';
import { decoded, detail, elevenLabsModels, offeredKey } from './elevenlabs-protocol.ts';
import { openStreamInput } from './elevenlabs-stream-input.ts';
import { fliteVoices } from './flite-engine.ts';
import { type Exchange, ProviderServer, replyJson, type Upgrade } from './provider-server.ts';
import { SocketHost } from './provider-socket.ts';
import type { StandIn, StandInOptions } from './stand-in-contract.ts';

/**
 * ElevenLabs (TTS provider protocol reference, section 6): the WebSockets `stream-input`,
 * `multi-stream-input` and dialogue, synthesis over HTTP, and the paths used for health checks.
 * Renders `pcm_*`, over HTTP `wav_*`, too. Voices exist unless their id starts with `unknown`.
 *
 * One request for speech is one HTTP request, one WebSocket, or one context of `multi-stream-input`.
 * Faults in mid audio strike its first generation.
 */
export function createElevenLabsStandIn(options: StandInOptions): StandIn {
  return new ProviderServer(options, 'elevenlabs-flash-ws', (server) => {
    const sockets = new SocketHost(server);
    const synthesis = new HttpSynthesis(server);
    return {
      isCounted: (method, path) =>
        isHttpSpeech(method, path) || streamInputPath.test(path) || path === dialoguePath,
      answer: (exchange) => {
        if (isHttpSpeech(exchange.entry.method, exchange.url.pathname)) synthesis.answer(exchange);
        else answerHttp(server, exchange);
      },
      upgrade: (upgrade) => openSocket(server, sockets, upgrade),
      close: () => sockets.terminate(),
    };
  });
}

const streamInputPath = /^\/v1\/text-to-speech\/([^/]+)\/stream-input$/;
const multiStreamInputPath = /^\/v1\/text-to-speech\/([^/]+)\/multi-stream-input$/;
const dialoguePath = '/v1/text-to-dialogue/stream-input';

function openSocket(server: ProviderServer, sockets: SocketHost, upgrade: Upgrade): void {
  const { pathname } = upgrade.url;
  const single = decoded(streamInputPath.exec(pathname)?.[1]);
  const multi = decoded(multiStreamInputPath.exec(pathname)?.[1]);
  if (single !== undefined) openStreamInput(server, sockets, upgrade, single);
  else if (multi !== undefined) openMultiStreamInput(server, sockets, upgrade, multi);
  else if (pathname === dialoguePath) openDialogue(server, sockets, upgrade);
  else server.refuseUpgrade(upgrade.stream, upgrade.entry, 404, { detail: 'Not Found' });
}

function answerHttp(server: ProviderServer, exchange: Exchange): void {
  const { url, entry, incoming, random } = exchange;
  const id = { 'request-id': random.fork('request-id').uuid().replaceAll('-', '') };
  const get = entry.method === 'GET' || entry.method === 'HEAD';
  const known = get ? healthAnswer(url.pathname) : undefined;
  if (known === undefined) {
    entry.error = 'Not Found';
    replyJson(exchange, 404, { detail: 'Not Found' }, id);
  } else if (!server.accepts(offeredKey(incoming, url))) {
    entry.error = 'invalid_api_key';
    replyJson(exchange, 401, detail('invalid_api_key', 'Invalid API key'), id);
  } else {
    replyJson(exchange, 200, known, id);
  }
}

function healthAnswer(path: string): unknown {
  const voices = fliteVoices.map((name) => ({ voice_id: name, name, category: 'premade' }));
  switch (path) {
    case '/v1/voices':
      return { voices };
    case '/v2/voices':
      return { voices, has_more: false, total_count: voices.length, next_page_token: null };
    case '/v1/models':
      return [...elevenLabsModels].map(([model_id, { charactersMax }]) => ({
        model_id,
        name: model_id,
        can_do_text_to_speech: true,
        maximum_text_length_per_request: charactersMax,
      }));
    case '/v1/user':
      return user;
    default:
      return undefined;
  }
}

/** On the free plan; every field that the official client insists on. */
const user = {
  user_id: 'stand-in',
  workspace_id: 'stand-in',
  is_new_user: false,
  can_use_delayed_payment_methods: false,
  is_onboarding_completed: true,
  is_onboarding_checklist_completed: true,
  created_at: 1_700_000_000,
  seat_type: 'workspace_admin',
  subscription: {
    tier: 'free',
    status: 'free',
    character_count: 0,
    character_limit: 10_000,
    max_credit_limit_extension: 0,
    can_extend_character_limit: false,
    allowed_to_extend_character_limit: false,
    voice_slots_used: 0,
    voice_limit: 3,
    voice_add_edit_counter: 0,
    can_extend_voice_limit: false,
    can_use_instant_voice_cloning: false,
    professional_voice_slots_used: 0,
    professional_voice_slots_used_in_workspace: 0,
    professional_voice_limit: 0,
    can_use_professional_voice_cloning: false,
    current_overage: { amount: '0', currency: 'usd' },
  },
};
