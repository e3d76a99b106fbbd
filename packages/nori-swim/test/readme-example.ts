import { Swim } from 'nori-swim';

const [id = 'n1', port = '7449', ...seeds] = process.argv.slice(2);
const swim = await Swim.start({ id, bind: `127.0.0.1:${port}` });
const events = swim.events();
if (seeds.length > 0) await swim.join(seeds);
process.once('SIGINT', () => swim.leave().then(() => swim.close()));
console.log(`${id} listens on ${swim.address}`);

for await (const event of events) {
  if (event.type === 'alive') console.log(`${event.member.id} is alive (${event.reason})`);
  if (event.type === 'suspect') console.log(`${event.member.id} did not answer ${event.by}`);
  if (event.type === 'confirm') console.log(`${event.member.id} is dead, say ${event.suspectedBy}`);
  if (event.type === 'leave') console.log(`${event.member.id} has left`);
}
