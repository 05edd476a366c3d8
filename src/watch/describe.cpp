// Puts moments into words and into JSON; used by the helper threads and the verdict.
#include "describe.hpp"

#include "mtrain/base/text.hpp"

namespace mtrain::watch {

using Json = nlohmann::json;

std::string place_of(const Moment& moment) {
  if (moment.phase == Phase::kSetup) return "set-up";
  if (moment.phase == Phase::kFinish) return "the end of the run";
  std::string place = moment.phase == Phase::kStep ? cat("step ", moment.step)
                                                   : cat("the ", to_string(moment.phase),
                                                         " after step ", moment.step);
  if (!moment.tasks.empty()) place += ", " + moment.tasks.back();
  if (moment.layer >= 0) place += cat(", layer ", moment.layer);
  return place;
}

std::string describe(const LaneRecord& lane, int64_t number) {
  const Operation* operation = lane.find(number);
  std::string text = operation ? to_string(operation->kind) : "operation";
  text += cat(" ", number);
  if (operation && operation->elements > 0)
    text += cat(" (", operation->elements, " elements)");
  if (lane.lane.is_channel())
    text += cat(" from rank ", lane.lane.from, " to rank ", lane.lane.to);
  return text + cat(" of group ", lane.lane.group);
}

namespace {

Json to_json(const LaneRecord& record) {
  Json operations = Json::array();
  for (const Operation& op : record.last)
    operations.push_back({static_cast<int>(op.kind), op.elements, op.done});
  const Lane& lane = record.lane;
  return {{"group", lane.group},       {"ranks", lane.ranks},
          {"from", lane.from},         {"to", lane.to},
          {"tag", lane.tag},           {"receives", lane.receives},
          {"started", record.started}, {"last", operations}};
}

LaneRecord lane_from_json(const Json& json) {
  LaneRecord record;
  record.lane = {json.at("group"), json.at("ranks"), json.at("from"),
                 json.at("to"),    json.at("tag"),   json.at("receives")};
  record.started = json.at("started");
  for (const Json& op : json.at("last"))
    record.last.push_back({static_cast<OperationKind>(op.at(0).get<int>()),
                           op.at(1).get<int64_t>(), op.at(2).get<bool>()});
  return record;
}

}  // namespace

Json to_json(const Moment& moment) {
  Json json = {{"phase", static_cast<int>(moment.phase)},
               {"step", moment.step},
               {"marks", moment.marks},
               {"layer", moment.layer},
               {"tasks", moment.tasks},
               {"waits", nullptr},
               {"lanes", Json::array()}};
  if (moment.waits) json["waits"] = {moment.waits->first, moment.waits->second};
  for (const LaneRecord& lane : moment.lanes) json["lanes"].push_back(to_json(lane));
  return json;
}

Moment moment_from_json(const Json& json) {
  Moment moment;
  moment.phase = static_cast<Phase>(json.at("phase").get<int>());
  moment.step = json.at("step");
  moment.marks = json.at("marks");
  moment.layer = json.at("layer");
  moment.tasks = json.at("tasks").get<std::vector<std::string>>();
  for (const Json& lane : json.at("lanes")) moment.lanes.push_back(lane_from_json(lane));
  const Json& waits = json.at("waits");
  if (!waits.is_null())
    moment.waits = {waits.at(0).get<int>(), waits.at(1).get<int64_t>()};
  return moment;
}

}  // namespace mtrain::watch
