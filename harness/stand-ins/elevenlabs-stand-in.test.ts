import test from 'ava';
import { laboratory } from './test-client.ts';

test('health checks and unknown HTTP paths', async (t) => {
  const { clock, request } = await laboratory('elevenlabs');
  const headers = { 'xi-api-key': 'k' };
  const get = async (path: string, method = 'GET', sent: Record<string, string> = headers) => {
    const answer = await clock.run(request(method, path, { headers: sent }));
    return { status: answer.status, json: JSON.parse(answer.body.toString()) };
  };
  t.is((await get('/v1/voices')).json.voices[0].voice_id, 'slt');
  t.is((await get('/v2/voices')).json.has_more, false);
  t.is((await get('/v1/models')).json[0].model_id, 'eleven_flash_v2_5');
  t.is((await get('/v1/user')).json.subscription.tier, 'free');
  t.deepEqual(await get('/v1/user', 'GET', {}), {
    status: 401,
    json: { detail: { status: 'invalid_api_key', message: 'Invalid API key' } },
  });
  t.deepEqual(await get('/nothing'), { status: 404, json: { detail: 'Not Found' } });
});
