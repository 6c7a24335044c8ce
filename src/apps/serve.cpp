// `pegainfer serve`: flags to options, and the model as the server wants it.
#include <fmt/core.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/chat_flags.h"
#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/load_with_progress.h"
#include "apps/sampling_defaults.h"
#include "apps/server_flags.h"
#include "apps/service_manager.h"
#include "apps/startup_block.h"
#include "apps/watch.h"
#include "base/log.h"
#include "engine/load_engine.h"
#include "server/app.h"

namespace pegainfer::apps {
namespace {

Watch::Served describe(const EngineOptions& options, const std::string& name, const LoadedEngine& loaded) {
  Watch::Served served{.model_name = name, .device = loaded.backend->name() == "cpu" ? "" : "GPU "};
  served.cache_config = {{"cache_dtype", options.kv_cache_dtype},
                         {"enable_prefix_caching", options.enable_prefix_caching ? "True" : "False"},
                         {"gpu_memory_utilization", fmt::format("{}", options.gpu_memory_utilization)},
                         {"num_cpu_blocks", "0"}};
  return served;
}

// The names that clients may use: one that answers carry first, "*" behind it.
std::vector<std::string> served_names(std::vector<std::string> names, const std::string& model_name) {
  const auto any =
      std::stable_partition(names.begin(), names.end(), [](const std::string& n) { return n != "*"; });
  if (any == names.begin()) names.insert(names.begin(), model_name);
  return names;
}

Result<server::ServedModel> load(EngineOptions options, const std::vector<std::string>& names,
                                 const ChatSetup& chat, Watch& watch, StartupFacts& facts,
                                 const server::LoadContext& context) {
  options.on_dead = context.on_dead;
  options.observers = watch.observers();
  ASSIGN_OR_RETURN(LoadedEngine engine, load_with_bar(options, [&](const EngineLoadProgress& progress) {
                     context.status.bytes_total = progress.bytes_total;
                     context.status.bytes_done = progress.bytes_done;
                   }));
  const auto loaded = std::make_shared<LoadedEngine>(std::move(engine));
  server::ServedModel model;
  model.engine = std::shared_ptr<Engine>(loaded, loaded->engine.get());
  model.tokenizer = loaded->tokenizer;
  model.defaults = sampling_defaults(loaded->generation);
  ASSIGN_OR_RETURN(model.chat, make_chat_model(chat, chat_files(*loaded), *loaded->tokenizer));
  model.names = served_names(names, loaded->engine->info().model_name);
  model.created =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  facts = startup_facts(options, *loaded);
  watch.engine_ready(model.engine, describe(options, model.names.front(), *loaded));
  return model;
}

// Each client is a file descriptor, and the usual soft limit of 1,024 is a small number of clients.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// systemd is told when the model is there, and then that the engine goes on.
void connect_service_manager(server::Lifecycle& lifecycle) {
  const auto manager = std::make_shared<const ServiceManager>(ServiceManager::from_environment());
  if (!manager->present()) return;
  lifecycle.on_ready = [manager, log = std::move(lifecycle.on_ready)](const server::ServedModel& model,
                                                                      const std::string& url) {
    if (log) log(model, url);
    manager->ready(fmt::format("serving {} at {}", model.names.front(), url));
  };
  lifecycle.on_shutdown = [manager] { manager->stopping(); };
  if (!manager->alive_interval()) return;
  lifecycle.on_alive = [manager] { manager->alive(); };
  lifecycle.alive_interval = *manager->alive_interval();
}

Status serve(ServeFlags& flags) {
  RETURN_IF_ERROR(apply_log_format(flags.log));
  ASSIGN_OR_RETURN(EngineOptions engine, to_engine_options(flags.model));
  engine.seed = flags.seed;
  engine.dummy_seed = flags.seed.value_or(0);
  for (auto name = flags.served_names.rbegin(); name != flags.served_names.rend(); ++name)
    if (*name != "*") engine.served_model_name = *name;
  ASSIGN_OR_RETURN(const ChatSetup chat, to_chat_setup(flags.chat));
  RETURN_IF_ERROR(apply_serve_flags(flags));
  // The line is for scripts that pass --port 0, so it goes to standard output, and at once.
  flags.app.on_listening = [](const std::string& url) {
    fmt::print("listening on {}\n", url);
    std::fflush(stdout);
  };
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  ASSIGN_OR_RETURN(const auto watch, Watch::create(flags.watch));
  watch->connect(flags.app);
  RETURN_IF_ERROR(connect_access_log(flags.log, flags.app.http));
  StartupFacts facts;  // written by the loading thread before on_ready is called
  flags.app.lifecycle.on_ready = [&](const server::ServedModel& model, const std::string& url) {
    log_startup(facts, model, flags.app, url);
  };
  connect_service_manager(flags.app.lifecycle);
  Status status = server::run_app(flags.app, [&](const server::LoadContext& context) {
    return load(engine, flags.served_names, chat, *watch, facts, context);
  });
  watch->finish();
  return status;
}

}  // namespace

void add_serve(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app.add_subcommand("serve", "Serve a model over HTTP, with OpenAI's endpoints");
  add_serve_flags(*command, *flags);
  command->callback([flags, &exit_code] {
    const Status status = serve(*flags);
    if (!status) exit_code = report(status.error());
  });
}

}  // namespace pegainfer::apps
