#include "bus/signed/signed_bus.h"

#include "base/log.h"

namespace aether {
namespace {

constexpr std::string_view kCommands = "aether.commands.";
constexpr std::string_view kField = ",\"signature\":\"";
constexpr std::string_view kEnd = "\"}";
constexpr std::size_t kTail = kField.size() + 2 * sizeof(CommandSignature) + kEnd.size();

// What is signed. The first line keeps the key from ever signing anything else's text.
std::string signed_text(std::string_view subject, std::string_view command) {
  std::string text = "aether command 1\n";
  text += subject;
  text += '\n';
  text += command;
  return text;
}

// "{...}" and its signature; false when there is none.
bool split(std::string_view payload, std::string& command, CommandSignature& signature) {
  if (payload.size() <= kTail) return false;
  const std::string_view tail = payload.substr(payload.size() - kTail);
  if (!tail.starts_with(kField) || !tail.ends_with(kEnd)) return false;
  if (!from_hex(tail.substr(kField.size(), 2 * signature.size()), signature.data(), signature.size())) return false;
  command = payload.substr(0, payload.size() - kTail);
  command += '}';
  return true;
}

}  // namespace

Result<void> SigningBus::publish(std::string_view subject, std::string_view payload) {
  if (!subject.starts_with(kCommands)) return bus_.publish(subject, payload);
  if (!payload.ends_with('}')) return fail(ErrorCode::kInvalidArgument, "a command is a JSON object");
  const auto signature = key_.sign(signed_text(subject, payload));
  if (!signature) return fail(signature.error());
  std::string out(payload.substr(0, payload.size() - 1));
  out += kField;
  out += to_hex(signature->data(), signature->size());
  out += kEnd;
  return bus_.publish(subject, out);
}

Result<std::unique_ptr<Bus::Subscription>> VerifyingBus::subscribe(std::string_view pattern, Handler handler) {
  if (!pattern.starts_with(kCommands)) return bus_.subscribe(pattern, std::move(handler));
  return bus_.subscribe(pattern, [this, handler = std::move(handler)](const BusMessage& message) {
    BusMessage command = message;
    if (accept(command)) handler(command);
  });
}

bool VerifyingBus::accept(BusMessage& message) {
  std::string command;
  CommandSignature signature{};
  Result<void> good = fail(ErrorCode::kPermissionDenied, "it is not signed");
  if (split(message.payload, command, signature)) good = verifier_.verify(signed_text(message.subject, command), signature);
  if (!good) {
    ++refused_;
    log::warn("bus", "command refused", {{"subject", message.subject}, {"why", good.error().message}});
    return false;
  }
  message.payload = std::move(command);
  return true;
}

}  // namespace aether
