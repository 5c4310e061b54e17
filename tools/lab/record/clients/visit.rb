# Ruby net/http. Usage: visit.rb PLAN
require 'net/http'
plan = []
File.readlines(ARGV[0], chomp: true).each do |line|
  p = line.split("\t", -1)
  if p[0] == 'REQ' then plan << { m: p[1], u: URI(p[2]), t: p[3], b: p[4], h: [] }
  elsif p[0] == 'HDR' then plan[-1][:h] << p[1, 2]
  end
end
plan.group_by { |r| [r[:u].host, r[:u].port] }.each do |(host, port), rs|
  Net::HTTP.start(host, port, use_ssl: rs[0][:u].scheme == 'https', open_timeout: 8, read_timeout: 8) do |http|
    rs.each do |r|
      req = (r[:m] == 'POST' ? Net::HTTP::Post : Net::HTTP::Get).new(r[:u].request_uri)
      r[:h].each { |k, v| req[k] = v }
      req['Content-Type'] = r[:t] unless r[:t].empty?
      req.body = r[:b] unless r[:b].empty?
      http.request(req)
    end
  end
end
